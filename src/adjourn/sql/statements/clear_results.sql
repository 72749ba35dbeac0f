select @schema.adjourn_clear_results_v1(%(limit)s) as cleared
