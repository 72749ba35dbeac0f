select * from @schema.adjourn_procrastinate_move_v1(%(after)s, %(limit)s, %(queue)s, %(stalled_after)s)
