select @schema.adjourn_clear_steps_v1(%(after_id)s::bigint, %(limit)s) as last_id
