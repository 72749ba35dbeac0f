select * from @schema.adjourn_procrastinate_history_v1(%(limit)s, %(since)s)
