select s.task_name as task, s.periodic_id, s.cron, s.timezone, extract(epoch from s.last_tick)::double precision as last_tick
from @schema.adjourn_schedules s order by s.task_name, s.periodic_id limit @listed
