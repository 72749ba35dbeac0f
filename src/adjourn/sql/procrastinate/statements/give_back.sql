select @schema.adjourn_procrastinate_give_back_v1(%(limit)s) as given
