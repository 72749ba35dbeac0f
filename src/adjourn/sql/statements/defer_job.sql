select @schema.adjourn_defer_job_v1(
    %(queue)s, %(task_name)s, %(priority)s, %(lock)s, %(queueing_lock)s, %(args)s::jsonb, %(scheduled_at)s, %(own_transaction)s
) as id
