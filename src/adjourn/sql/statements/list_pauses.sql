select scope, name, '' as periodic_id, to_json(paused_at) #>> '{}' as paused_at, to_json(ends_at) #>> '{}' as ends_at, paused_by, reason
from @schema.adjourn_pauses where ends_at is null or ends_at > now()
union all
select 'schedule', task_name, periodic_id, to_json(paused_at) #>> '{}', to_json(pause_ends_at) #>> '{}', paused_by, pause_reason
from @schema.adjourn_schedules where paused_at is not null and (pause_ends_at is null or pause_ends_at > now())
order by scope, name, periodic_id
