select name from @schema.adjourn_old_partitions_v1(make_interval(secs => %(seconds)s)) name
