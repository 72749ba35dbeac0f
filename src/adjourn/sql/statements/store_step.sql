select outcome, seconds from @schema.adjourn_store_step_v1(
    %(job_id)s, %(claim)s, %(worker_id)s, %(kind)s::text, %(name)s::text, %(value)s::text, %(seconds)s::double precision
)
