select * from @schema.adjourn_exchange_v1(
    %(worker_id)s, %(ids)s::bigint[], %(claims)s::integer[], %(statuses)s::text[], %(errors)s::text[]::jsonb[],
    %(limit)s, %(queues)s::text[], %(busy)s, %(probe)s
)
