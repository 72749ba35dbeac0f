-- Leave notes of tasks whose jobs were set aside and may go on: nothing that they belong to is paused, and a worker serves their queue. See that
-- it is noted when pauses end. Tell the workers whether something is paused, if they do not know. Returns how many notes there are.
create function @schema.adjourn_heal_pauses_v1() returns integer
language plpgsql as $$
declare
    v_tasks text[];
    v_queues text[];
    v_noted integer;
begin
    select array_agg(free.task_name), array_agg(free.queue) into v_tasks, v_queues from @schema.adjourn_free_kinds_v1() free;
    if v_tasks is null then
        v_noted := 0;
    else
        insert into @schema.adjourn_open_limits (limit_id, limit_key)
        select distinct 0, 'task:' || free.task_name from unnest(v_tasks, v_queues) free(task_name, queue)
        where free.queue <> all(@schema.adjourn_unserved_v1(v_queues));
        get diagnostics v_noted = row_count;
    end if;
    insert into @schema.adjourn_due_rates (limit_id, limit_key, at)
    select 0, p.scope || ':' || p.name, p.ends_at from @schema.adjourn_pauses p where p.ends_at is not null
    union all
    select 0, 'schedule:' || json_build_array(s.task_name, s.periodic_id), s.pause_ends_at from @schema.adjourn_schedules s where s.pause_ends_at is not null
    on conflict do nothing;
    if exists (select from @schema.adjourn_workers w where w.restricted <> @schema.adjourn_is_restricted_v1()) then
        perform @schema.adjourn_restrict_v1();
    end if;
    return v_noted;
end $$;
