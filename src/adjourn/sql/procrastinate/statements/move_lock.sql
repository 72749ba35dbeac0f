select @schema.adjourn_procrastinate_move_lock_v1(%(lock)s, %(queue)s, %(patience)s) as moved
