-- A worker has locked these jobs and is about to claim them. For a call of each batch task among them, lock more of its jobs, the best first.
--   p_batches: how many jobs one call takes, by the names of tasks. p_queues: the queues that the worker serves, null for all.
-- Returns the others.
create function @schema.adjourn_pick_batch_v1(p_picked bigint[], p_batches json, p_queues text[]) returns bigint[]
language plpgsql as $$
declare
    v_task text;
    v_missing integer;
    v_more bigint[] := '{}';
begin
    for v_task, v_missing in
        select j.task_name, (p_batches ->> j.task_name)::integer - count(*) from @schema.adjourn_jobs j
        where j.id = any(p_picked) and j.is_batch and p_batches -> j.task_name is not null group by j.task_name
    loop
        v_more := v_more || array(
            select j.id from @schema.adjourn_jobs j
            where j.task_name = v_task and j.hold = @ready and j.is_batch and j.worker_id is null and j.id <> all(p_picked)
              and (p_queues is null or j.queue = any(p_queues))
            order by j.priority desc, coalesce(j.turn, j.id) limit greatest(v_missing, 0) for update skip locked
        );
    end loop;
    return v_more;
end $$;
