select forgotten, last_key from @schema.adjourn_forget_keys_v1(%(after)s::text, %(limit)s::integer)
