select * from @schema.adjourn_exchange_v1(
    %(worker_id)s, %(outcomes)s::text::json, %(limit)s, %(queues)s::text::text[], %(busy)s, %(probe)s,
    %(concurrency)s, %(running)s, %(apart)s, %(tasks)s::text[], %(patience)s,
    %(listens)s, %(called)s
)
