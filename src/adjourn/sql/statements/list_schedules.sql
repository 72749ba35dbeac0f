select task_name, periodic_id, cron, timezone, last_tick, last_job_id, seen_at, now() as now
from @schema.adjourn_schedules
order by task_name, periodic_id
