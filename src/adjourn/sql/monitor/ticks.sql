select s.task_name as task, s.periodic_id, extract(epoch from s.last_tick)::double precision as last_tick,
       extract(epoch from s.next_tick)::double precision as next_tick, extract(epoch from now() - case when s.paused_at is null then s.next_tick else now() end)::double precision as overdue,
       s.paused_at is not null as is_paused
from @schema.adjourn_schedules s order by s.task_name, s.periodic_id limit @listed
