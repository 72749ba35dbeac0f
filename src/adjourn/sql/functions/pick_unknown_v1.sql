-- Lock jobs of which a worker has not known the task, of these queues (null: all): those of p_tasks, and those that have waited
-- p_patience seconds for a worker that knows their task. The best of them and of p_picked, jobs that the caller has locked, are
-- picked. A job that may kill a worker that knows its task waits to run apart from others instead.
-- Returns the ids of these jobs, best first, of those among them that have waited so long, and the tasks that jobs wait for.
create function @schema.adjourn_pick_unknown_v1(
    p_picked bigint[], p_queues text[], p_tasks text[], p_patience double precision, p_limit integer
) returns table (picked bigint[], overdue bigint[], tasks text[])
language plpgsql as $$
declare
    -- In each queue the best jobs are looked for by themselves, so that those of queues which this worker does not serve are not read.
    v_queues text[] := array(
        select queue from unnest(@schema.adjourn_unknown_queues_v1()) queue where p_queues is null or queue = any(p_queues)
    );
    v_ids bigint[];
    v_suspects bigint[];
begin
    v_ids := array(
        select known.id from unnest(p_tasks) t(task_name) cross join unnest(v_queues) q(queue) cross join lateral (
            select j.id from @schema.adjourn_jobs j
            where j.hold = @unknown and j.task_name = t.task_name and j.queue = q.queue
            order by j.priority desc, j.id limit p_limit
        ) known
    ) || array(
        select late.id from unnest(v_queues) q(queue) cross join lateral (
            select j.id from @schema.adjourn_jobs j
            where j.hold = @unknown and j.queue = q.queue and j.unknown_since <= now() - make_interval(secs => p_patience)
            order by j.unknown_since limit p_limit
        ) late
    );
    v_ids := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold + 0 = @unknown
        order by j.priority desc, j.id limit p_limit for update skip locked
    );
    v_suspects := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.task_name = any(p_tasks) and j.doubts >= @apart_from
    );
    if v_suspects <> '{}' then
        update @schema.adjourn_jobs set hold = @apart where id = any(v_suspects);
        v_ids := array(select u from unnest(v_ids) u where u <> all(v_suspects));
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    picked := p_picked;
    if v_ids <> '{}' then
        picked := array(
            select j.id from @schema.adjourn_jobs j where j.id = any(p_picked || v_ids)
            order by j.priority desc, coalesce(j.turn, j.id) limit p_limit
        );
        overdue := array(
            select j.id from @schema.adjourn_jobs j
            where j.id = any(picked) and j.hold + 0 = @unknown and j.unknown_since <= now() - make_interval(secs => p_patience)
        );
    end if;
    with recursive known(task_name) as (
        (select j.task_name from @schema.adjourn_jobs j where j.hold = @unknown order by j.task_name limit 1)
        union all
        select (
            select j.task_name from @schema.adjourn_jobs j where j.hold = @unknown and j.task_name > known.task_name
            order by j.task_name limit 1
        )
        from known where known.task_name is not null
    )
    select array_agg(known.task_name) into tasks from known where known.task_name is not null;
    return next;
end $$;
