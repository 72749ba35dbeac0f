select * from @schema.adjourn_delete_old_jobs_v1(
    make_interval(secs => %(seconds)s), %(statuses)s::text[], %(queue)s::text, %(after_id)s::bigint, %(limit)s
)
