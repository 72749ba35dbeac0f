-- What runs: the jobs that workers have said they run at their last heartbeat, found by their ids, and those among the first that are
-- ready, for what is claimed is found there. One that has ended since is absent.
select j.id, j.queue, j.task_name as task, j.lock, j.worker_id, j.attempts + 1 as attempt, j.abort_requested as is_aborted,
       extract(epoch from now() - j.started_at)::double precision as seconds
from @schema.adjourn_jobs j
where j.worker_id is not null and j.id = any(
    array(select unnest(w.running) from @schema.adjourn_workers w limit 500)
    || array(select few.id from @schema.adjourn_jobs few where few.hold = @ready order by few.priority desc, coalesce(few.turn, few.id) limit 500)
)
order by j.started_at limit 500
