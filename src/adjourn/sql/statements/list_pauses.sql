select scope, name, '' as periodic_id, to_json(paused_at) #>> '{}' as paused_at from @schema.adjourn_pauses
union all
select 'schedule', task_name, periodic_id, to_json(paused_at) #>> '{}' from @schema.adjourn_schedules where paused_at is not null
order by scope, name, periodic_id
