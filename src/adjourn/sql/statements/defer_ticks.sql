select outcome, job_id from @schema.adjourn_defer_periodic_v1(
    %(task_names)s::text[], %(periodic_ids)s::text[], %(crons)s::text[], %(timezones)s::text[], %(ticks)s::timestamptz[],
    %(queues)s::text[], %(priorities)s::integer[], %(locks)s::text[], %(queueing_locks)s::text[], %(args)s::text[]::jsonb[], %(headers)s::text[]::jsonb[], %(terms)s::text[]::jsonb[],
    %(next_ticks)s::timestamptz[]
)
