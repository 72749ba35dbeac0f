select @schema.adjourn_complete_v1(
    %(transaction)s, %(worker_id)s, %(job_id)s, %(claim)s, %(enqueued_at)s::timestamptz, %(status)s, %(result)s::text, %(ttl)s::double precision
) as outcome
