-- Wake the jobs that wait for events which have been noted: those that were sent, and those for which a job has just begun to wait. A note is
-- in the commit of the event, or of the job's wait; so whichever of them comes last is seen here together with the other.
-- Jobs that another transaction has locked are left, with a note, for the next time. So are those whose wait this transaction has
-- stored: until it commits, the event may be sent, and whoever takes note of that does not see them.
create function @schema.adjourn_deliver_events_v1(p_limit integer) returns void
language plpgsql as $$
declare
    v_names text[];
    v_ids bigint[];
begin
    with noted as (
        delete from @schema.adjourn_event_notes where ctid = any(array(
            select n.ctid from @schema.adjourn_event_notes n limit p_limit for update skip locked
        )) returning name
    )
    select array_agg(distinct name) into v_names from noted;
    v_ids := array(
        select j.id from @schema.adjourn_jobs j join @schema.adjourn_sent_events e on e.name = j.awaited_event and e.expires_at > now()
        where j.awaited_event = any(v_names) and j.hold + 0 = @scheduled limit p_limit
    );
    v_ids := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.awaited_event = any(v_names) and j.hold + 0 = @scheduled
        order by j.id for update skip locked
    );
    insert into @schema.adjourn_steps as s (job_id, kind, name, value, is_done, claim)
    select j.id, 'event', j.awaited_event, e.payload, true, j.claim
    from @schema.adjourn_jobs j join @schema.adjourn_sent_events e on e.name = j.awaited_event where j.id = any(v_ids)
    on conflict (job_id, kind, name) do update set value = excluded.value, is_done = true, at = now() where not s.is_done;
    update @schema.adjourn_jobs j set
        awaited_event = null, scheduled_at = null, ready_at = now(),
        hold = case when j.lock is not null then @unplaced else @ready end
    where j.id = any(v_ids);
    perform @schema.adjourn_gate_v1(array(select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold + 0 = @ready));
    insert into @schema.adjourn_event_notes (name)
    select distinct j.awaited_event from @schema.adjourn_jobs j
    where j.awaited_event = any(v_names) and j.hold + 0 = @scheduled and (
        j.xmin = pg_current_xact_id()::xid
        or exists (select from @schema.adjourn_sent_events e where e.name = j.awaited_event and e.expires_at > now())
    );
    if v_ids <> '{}' then
        perform @schema.adjourn_wake_v1(false, null);
    end if;
end $$;
