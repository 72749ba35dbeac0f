select id, queue, task_name, priority, lock, queueing_lock, args, attempts, claim, worker_id, abort_requested, errors, status,
       to_json(scheduled_at) #>> '{}' as scheduled_at, to_json(enqueued_at) #>> '{}' as enqueued_at,
       to_json(started_at) #>> '{}' as started_at, to_json(finished_at) #>> '{}' as finished_at,
       headers, progress, to_json(expires_at) #>> '{}' as expires_at, max_attempts, reason, result,
       to_json(result_expires_at) #>> '{}' as result_expires_at,
       case when status = 'doing' then (select w.name from @schema.adjourn_workers w where w.id = worker_id) end as worker_name,
       status = 'doing' and exists (select from @schema.adjourn_workers w where w.id = worker_id and jobs.id = any(w.overdue)) as overdue
from @schema.adjourn_list_jobs_v1(
    %(id)s::bigint, %(queue)s::text, %(task)s::text, %(status)s::text, %(lock)s::text, %(queueing_lock)s::text,
    %(worker_id)s::bigint, %(waits_for)s::text, %(workflow_id)s::bigint, %(error)s::text,
    %(finished_after)s::timestamptz, %(finished_before)s::timestamptz, %(after_id)s::bigint, %(limit)s::bigint
) jobs
