-- The schedules of periodic tasks, with what came of the job of the last tick.
select s.task_name as task, s.periodic_id, s.cron, s.timezone, extract(epoch from s.last_tick)::double precision as last_tick,
       s.last_job_id, extract(epoch from s.seen_at)::double precision as seen, extract(epoch from now())::double precision as now,
       extract(epoch from s.paused_at)::double precision as paused_at,
       (select j.status from @schema.adjourn_read_jobs_v1(array[s.last_job_id]) j) as last_status
from @schema.adjourn_schedules s order by s.task_name, s.periodic_id limit @listed
