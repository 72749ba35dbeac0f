-- The jobs that workers have said they run, found by their ids. One that has ended since is absent.
select j.id, j.queue, j.task_name as task, j.lock, j.worker_id, j.attempts + 1 as attempt, j.abort_requested as is_aborted,
       extract(epoch from now() - j.started_at)::double precision as seconds
from @schema.adjourn_jobs j
where j.id in (select unnest(w.running) from @schema.adjourn_workers w limit 500) and j.worker_id is not null
order by j.started_at limit 500
