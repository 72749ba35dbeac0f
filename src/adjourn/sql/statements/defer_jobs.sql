-- All of a transaction's jobs are stored at one time, which is its `now()`. In a select of its own it is written once.
select id, taken, (select to_json(now()) #>> '{}') as enqueued_at from @schema.adjourn_defer_jobs_v1(
    %(queues)s::text[], %(task_names)s::text[], %(priorities)s::integer[], %(locks)s::text[], %(queueing_locks)s::text[],
    %(args)s::text[]::jsonb[], %(headers)s::text[]::jsonb[], %(scheduled_at)s::timestamptz[],
    %(schedule_in)s::double precision[], %(own_transaction)s::boolean
)
