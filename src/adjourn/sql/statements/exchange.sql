select * from @schema.adjourn_exchange_v1(
    %(worker_id)s, %(ids)s::text::bigint[], %(claims)s::text::integer[], %(statuses)s::text::text[], %(errors)s::text::text[],
    %(results)s::text::text[], %(ttls)s::text::double precision[], %(back)s::text::json, %(limit)s, %(queues)s::text::text[], %(busy)s, %(probe)s,
    %(concurrency)s, %(running)s, %(apart)s, %(tasks)s::text[], %(patience)s,
    %(listens)s, %(called)s, %(follow)s, %(floors)s::text::json, %(batches)s::text::json
)
