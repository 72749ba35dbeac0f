select scope, name, to_json(paused_at) #>> '{}' as paused_at from @schema.adjourn_pauses order by scope, name
