select name from @schema.adjourn_partition_v1(@weeks_ahead, coalesce(%(since)s::timestamptz, now())) name
