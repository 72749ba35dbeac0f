select name from @schema.adjourn_partition_v1(%(weeks)s) name
