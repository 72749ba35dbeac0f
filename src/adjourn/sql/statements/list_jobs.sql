select * from @schema.adjourn_list_jobs_v1(
    %(id)s::bigint, %(queue)s::text, %(task)s::text, %(status)s::text, %(lock)s::text, %(queueing_lock)s::text,
    %(worker_id)s::bigint, %(after_id)s::bigint, %(limit)s::bigint
)
