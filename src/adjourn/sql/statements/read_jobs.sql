select id, queue, task_name, priority, lock, queueing_lock, args, attempts, claim, worker_id, abort_requested, errors, status,
       to_json(scheduled_at) #>> '{}' as scheduled_at, to_json(enqueued_at) #>> '{}' as enqueued_at,
       to_json(started_at) #>> '{}' as started_at, to_json(finished_at) #>> '{}' as finished_at,
       headers, progress, to_json(expires_at) #>> '{}' as expires_at, max_attempts, reason, result,
       to_json(result_expires_at) #>> '{}' as result_expires_at
from @schema.adjourn_read_jobs_v1(%(ids)s::bigint[])
