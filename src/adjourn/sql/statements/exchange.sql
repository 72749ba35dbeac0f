select id, queue, task_name, priority, lock, queueing_lock, args, attempts, claim, abort_requested,
       to_json(scheduled_at) #>> '{}' as scheduled_at, to_json(enqueued_at) #>> '{}' as enqueued_at, to_json(started_at) #>> '{}' as started_at
from @schema.adjourn_exchange_v1(
    %(worker_id)s, %(outcomes)s::text::json, %(limit)s, %(queues)s::text::text[], %(busy)s, %(probe)s,
    %(concurrency)s, %(running)s, %(apart)s, %(tasks)s::text[], %(patience)s,
    %(listens)s, %(called)s
)
