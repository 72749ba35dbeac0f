-- Leave notes of tasks whose jobs were set aside and may go on: nothing that they belong to is paused, and a worker serves their queue; and of
-- pauses whose end is not noted. Returns how many notes there are.
create function @schema.adjourn_heal_pauses_v1() returns integer
language plpgsql set enable_seqscan = off as $$
declare
    v_tasks text[];
    v_queues text[];
    v_notes text[];
begin
    v_notes := array(
        select ending.what from (
            select p.scope || ':' || p.name as what from @schema.adjourn_pauses p where p.ends_at is not null
            union all
            select 'schedule:' || json_build_array(s.task_name, s.periodic_id) from @schema.adjourn_schedules s where s.pause_ends_at is not null
        ) ending
        where not exists (select from @schema.adjourn_due_rates d where d.limit_id = 0 and d.limit_key = ending.what offset 0)
    );
    -- In a new session planning costs more than looking. The order leaves no choice of an index.
    if (select j.task_name from @schema.adjourn_jobs j where j.hold = @paused order by j.task_name, j.queue limit 1) is not null then
        select array_agg(free.task_name), array_agg(free.queue) into v_tasks, v_queues from @schema.adjourn_free_kinds_v1() free;
    end if;
    if v_tasks is not null then
        v_notes := v_notes || array(
            select distinct 'task:' || free.task_name from unnest(v_tasks, v_queues) free(task_name, queue)
            where free.queue <> all(@schema.adjourn_unserved_v1(v_queues))
        );
    end if;
    -- To note here itself when pauses end would be to wait for who places, and the other way round.
    insert into @schema.adjourn_open_limits (limit_id, limit_key) select 0, what from unnest(v_notes) what;
    return cardinality(v_notes);
end $$;
