-- Repair what statements of other programs may have left, and forget starts that no rate asks for any more.
create function @schema.adjourn_heal_limits_v1() returns void
language plpgsql as $$
begin
    perform @schema.adjourn_note_limit_v1(null);
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    select 0, 'task:' || paused.task_name from (
        select distinct j.task_name from @schema.adjourn_jobs j where j.hold = @paused and case when exists (
            select from @schema.adjourn_pauses p where p.scope = 'task' and p.name = j.task_name or p.scope = 'queue' and p.name = j.queue
        ) then false else @schema.adjourn_is_served_v1(j.queue) end
    ) paused;
    -- A job that has a place for which others wait, and whose queue no worker serves, is set aside until one does.
    perform @schema.adjourn_park_v1(array(
        select j.id from @schema.adjourn_jobs j
        where j.key_slot is not null and j.hold = @ready and j.worker_id is null and not @schema.adjourn_is_served_v1(j.queue)
          and exists (select from @schema.adjourn_jobs o where o.hold = @gate and o.gate_id = j.limit_id and o.gate_key = j.limit_key offset 0)
        limit @most_placed for update skip locked
    ) || array(
        select j.id from @schema.adjourn_limits l join @schema.adjourn_jobs j on j.task_name = l.name and j.task_slot is not null
        where l.scope = 'task' and j.hold = @ready and j.worker_id is null and not @schema.adjourn_is_served_v1(j.queue)
          and exists (select from @schema.adjourn_jobs o where o.hold = @gate and o.gate_id = l.id and o.gate_key = '' offset 0)
        limit @most_placed for update of j skip locked
    ));
    delete from @schema.adjourn_starts s where s.at < now() - make_interval(secs => coalesce((
        select max((rate ->> 1)::double precision) from @schema.adjourn_limits l cross join jsonb_array_elements(l.rates) rate
        where l.id = s.limit_id
    ), 0));
    if exists (select from @schema.adjourn_workers w where w.restricted <> @schema.adjourn_is_restricted_v1()) then
        perform @schema.adjourn_restrict_v1();
    end if;
end $$;
