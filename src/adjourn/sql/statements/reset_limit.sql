select @schema.adjourn_reset_limit_v1(%(scope)s::text, %(name)s::text) as changed
