select @schema.adjourn_retry_by_id_v1(
    %(job_id)s, %(retry_at)s::timestamptz, %(priority)s::integer, %(queue)s::text, %(relock)s::boolean, %(lock)s::text
) as found
