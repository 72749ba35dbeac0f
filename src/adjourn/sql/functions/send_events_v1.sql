-- Store events, and a note for the worker that wakes the jobs that wait for them. The first of a name counts until its time is over.
-- It looks for no job: the caller may keep the transaction open, or not see all jobs.
-- Returns which of them were stored, in their order.
create function @schema.adjourn_send_events_v1(p_names text[], p_payloads text[], p_seconds double precision[]) returns boolean[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_stored text[];
    v_sent boolean[];
begin
    -- One whose time is over gives way. (To change it would need the right to read it.)
    delete from @schema.adjourn_sent_events where name = any(array(
        select e.name from @schema.adjourn_sent_events e where e.name = any(p_names) and e.expires_at <= now() order by e.name for update
    ));
    with event as (
        select distinct on (e.name collate "C") e.name, e.payload, e.seconds
        from unnest(p_names, p_payloads, p_seconds) with ordinality e(name, payload, seconds, place)
        order by e.name collate "C", e.place
    ), stored as (
        insert into @schema.adjourn_sent_events as s (name, payload, sent_at, expires_at)
        select name, payload::jsonb, now(), now() + make_interval(secs => seconds) from event order by name collate "C"
        on conflict (name) do nothing returning s.name
    ), noted as (
        insert into @schema.adjourn_event_notes (name) select name from stored
    )
    select array_agg(name) into v_stored from stored;
    if v_stored is not null then
        perform @schema.adjourn_wake_v1(true, null);
    end if;
    select array_agg(e.name = any(coalesce(v_stored, '{}')) and e.place = e.first order by e.place) into v_sent from (
        select name, place, min(place) over (partition by name) as first from unnest(p_names) with ordinality u(name, place)
    ) e;
    return v_sent;
end $$;
