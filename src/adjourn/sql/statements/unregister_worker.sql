select @schema.adjourn_unregister_v1(%(worker_id)s, %(is_done)s)::text
