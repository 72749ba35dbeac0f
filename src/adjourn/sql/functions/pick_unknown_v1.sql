-- Lock jobs of which a worker has not known the task, and return their ids: of these queues (null: all), those of p_tasks, and
-- those that have waited p_patience seconds for a worker that knows their task.
create function @schema.adjourn_pick_unknown_v1(p_queues text[], p_tasks text[], p_patience double precision, p_limit integer)
returns bigint[]
language plpgsql as $$
declare
    v_ids bigint[];
begin
    v_ids := array(
        select known.id from unnest(p_tasks) t(task_name) cross join lateral (
            select j.id from @schema.adjourn_jobs j
            where j.hold = @unknown and j.task_name = t.task_name and (p_queues is null or j.queue = any(p_queues))
            order by j.priority desc, j.id limit p_limit
        ) known
    ) || array(
        select j.id from @schema.adjourn_jobs j
        where j.hold = @unknown and j.unknown_since <= now() - make_interval(secs => p_patience)
          and (p_queues is null or j.queue = any(p_queues))
        order by j.unknown_since limit p_limit
    );
    return array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold = @unknown
        order by j.priority desc, j.id limit p_limit for update skip locked
    );
end $$;
