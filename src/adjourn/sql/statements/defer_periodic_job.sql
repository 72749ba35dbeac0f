select is_new, job_id from @schema.adjourn_defer_periodic_v1(
    %(periodic_id)s, %(cron)s, %(timezone)s, %(tick)s::timestamptz,
    %(queue)s, %(task_name)s, %(priority)s, %(lock)s, %(queueing_lock)s, %(args)s::text::jsonb
)
