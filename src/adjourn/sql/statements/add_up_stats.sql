select @schema.adjourn_add_up_stats_v1(%(limit)s::integer) as taken
