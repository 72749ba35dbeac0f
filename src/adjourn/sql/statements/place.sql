select * from @schema.adjourn_place_v1(%(limit)s)
