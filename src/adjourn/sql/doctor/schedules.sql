select s.task_name as task, s.periodic_id, s.cron, s.timezone, extract(epoch from now() - s.last_tick)::double precision as since_tick,
       extract(epoch from s.last_tick)::double precision as last_tick, extract(epoch from now() - s.seen_at)::double precision as since_seen,
       extract(epoch from now() - s.paused_at)::double precision as paused,
       extract(epoch from s.pause_ends_at - now())::double precision as seconds_left, s.paused_by as by, s.pause_reason as reason,
       (select extract(epoch from now() - greatest(j.enqueued_at, j.scheduled_at))::double precision from @schema.adjourn_jobs j
        where j.id = s.last_job_id and j.worker_id is null) as job_waits
from @schema.adjourn_schedules s order by s.task_name, s.periodic_id limit 1000
