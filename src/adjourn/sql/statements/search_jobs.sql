select search.looked, search.is_live, search.reached_id, to_json(search.reached_at) #>> '{}' as reached_at, search.is_complete,
       j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args, j.attempts, j.claim, j.worker_id, j.abort_requested,
       j.errors, j.status, to_json(j.scheduled_at) #>> '{}' as scheduled_at, to_json(j.enqueued_at) #>> '{}' as enqueued_at,
       to_json(j.started_at) #>> '{}' as started_at, to_json(j.finished_at) #>> '{}' as finished_at,
       j.headers, j.progress, j.reason, j.result, to_json(j.result_expires_at) #>> '{}' as result_expires_at
from @schema.adjourn_search_jobs_v1(
    %(filter)s::jsonb, %(newest)s::boolean, %(is_live)s::boolean, %(after_id)s::bigint, %(budget)s::bigint, %(seconds)s::double precision,
    %(limit)s::integer
) search
left join lateral @schema.adjourn_read_jobs_v1(search.ids) j on true
order by array_position(search.ids, j.id)
