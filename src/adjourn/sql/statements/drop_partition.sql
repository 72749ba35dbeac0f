select * from @schema.adjourn_drop_partition_v1(
    %(name)s, make_interval(secs => %(seconds)s), %(statuses)s::text[], %(queue)s::text
)
