-- What runs, among the first jobs of each priority: those are claimed first.
select few.id, few.queue, few.task_name as task, few.lock, few.worker_id, few.attempts + 1 as attempt, few.abort_requested as is_aborted,
       extract(epoch from now() - few.started_at)::double precision as seconds
from (select * from @schema.adjourn_jobs j where j.hold = @ready order by j.priority desc, coalesce(j.turn, j.id) limit @counted) few
where few.worker_id is not null order by few.started_at limit @listed
