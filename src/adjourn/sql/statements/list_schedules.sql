select task_name, periodic_id, cron, timezone, last_job_id,
       to_json(last_tick) #>> '{}' as last_tick, to_json(seen_at) #>> '{}' as seen_at, to_json(paused_at) #>> '{}' as paused_at, to_json(now()) #>> '{}' as now
from @schema.adjourn_schedules
order by task_name, periodic_id
