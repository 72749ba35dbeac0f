select id from @schema.adjourn_retry_v1(
    %(worker_id)s, %(ids)s::bigint[], %(claims)s::integer[], %(errors)s::text[]::jsonb[], %(at)s::timestamptz[],
    %(priorities)s::integer[], %(queues)s::text[], %(relock)s::boolean[], %(locks)s::text[]
) id
