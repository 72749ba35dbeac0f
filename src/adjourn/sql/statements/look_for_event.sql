select outcome, value, seconds from @schema.adjourn_look_for_event_v1(
    %(job_id)s, %(claim)s, %(worker_id)s, %(name)s::text, %(seconds)s::double precision
)
