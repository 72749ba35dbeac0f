-- Running jobs of workers that are not there, among the first of each priority.
select j.id, j.queue, j.task_name as task, j.worker_id, extract(epoch from now() - j.started_at)::double precision as seconds, w.id is not null as is_known
from (select * from @schema.adjourn_jobs where hold = @ready order by priority desc, coalesce(turn, id) limit @counted) j
left join @schema.adjourn_workers w on w.id = j.worker_id
where j.worker_id is not null and (w.id is null or w.dead or w.expires_at <= now()) order by j.id limit 20
