select id, queue, task_name, priority, lock, queueing_lock, args::text as args, scheduled_at, attempts, claim, worker_id,
       abort_requested, enqueued_at, started_at, errors::text as errors, status, finished_at
from @schema.adjourn_all_jobs
where (%(id)s::bigint is null or id = %(id)s)
  and (%(queue)s::text is null or queue = %(queue)s)
  and (%(task)s::text is null or task_name = %(task)s)
  and (%(status)s::text is null or status = %(status)s)
  and (%(lock)s::text is null or lock = %(lock)s)
  and (%(queueing_lock)s::text is null or queueing_lock = %(queueing_lock)s)
  and (%(worker_id)s::bigint is null or worker_id = %(worker_id)s)
  and id > %(after_id)s
order by id
limit %(limit)s
