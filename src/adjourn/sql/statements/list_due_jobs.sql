-- Jobs that wait for a time, the soonest due first, from after a time and an id.
with hit as materialized (
    select j.id from @schema.adjourn_jobs j
    where j.hold = @scheduled and j.scheduled_at >= %(after_at)s::timestamptz
      and (j.scheduled_at > %(after_at)s::timestamptz or j.id > %(after_id)s::bigint)
      and (%(id)s::bigint is null or j.id = %(id)s)
      and (%(queue)s::text is null or j.queue = %(queue)s)
      and (%(task)s::text is null or j.task_name = %(task)s)
      and (%(lock)s::text is null or j.lock = %(lock)s)
      and (%(queueing_lock)s::text is null or j.queueing_lock = %(queueing_lock)s)
      and (%(waits_for)s::text is null or %(waits_for)s
           = case when j.awaited_event is not null then 'event' when j.attempts > 0 then 'retry' else 'time' end)
      and (%(workflow_id)s::bigint is null or j.workflow_id = %(workflow_id)s)
      and (%(error)s::text is null
           or strpos(concat_ws(': ', j.errors -> -1 ->> 'exception', j.errors -> -1 ->> 'message'), %(error)s) > 0)
    order by j.scheduled_at, j.id limit %(limit)s::bigint
)
select id, queue, task_name, priority, lock, queueing_lock, args, attempts, claim, worker_id, abort_requested, errors, status,
       to_json(scheduled_at) #>> '{}' as scheduled_at, to_json(enqueued_at) #>> '{}' as enqueued_at,
       to_json(started_at) #>> '{}' as started_at, to_json(finished_at) #>> '{}' as finished_at,
       headers, progress, to_json(expires_at) #>> '{}' as expires_at, max_attempts, reason, result,
       to_json(result_expires_at) #>> '{}' as result_expires_at
from @schema.adjourn_read_jobs_v1(array(select hit.id from hit)) jobs
order by jobs.scheduled_at, jobs.id
