select j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text as args, j.attempts, j.claim,
       j.worker_id, w.name as worker_name, coalesce(j.id = any(w.overdue), false) as overdue, j.abort_requested, j.errors::text as errors, j.headers::text as headers, 'doing' as status, null::text as finished_at,
       to_json(j.scheduled_at) #>> '{}' as scheduled_at, to_json(j.enqueued_at) #>> '{}' as enqueued_at,
       to_json(j.started_at) #>> '{}' as started_at, to_json(j.expires_at) #>> '{}' as expires_at, j.max_attempts
from @schema.adjourn_jobs j left join @schema.adjourn_workers w on w.id = j.worker_id
where j.worker_id is not null
  and (w.id is null or w.dead or w.last_heartbeat_at < now() - make_interval(secs => %(seconds)s))
  and (%(queue)s::text is null or j.queue = %(queue)s)
  and (%(task_name)s::text is null or j.task_name = %(task_name)s)
order by j.id
