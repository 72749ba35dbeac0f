-- For tests: claim the best ready job, of some queues and up to some id, except for these.
update @schema.adjourn_jobs set
    worker_id = %(worker_id)s::bigint, claim = claim + 1, started_at = now(), waiting_queueing_lock = null, claimed_ahead = null
where id = (
    select id from @schema.adjourn_jobs
    where hold = @ready and worker_id is null and id <= %(last)s::bigint and id <> all(%(besides)s::bigint[])
      and (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
    order by priority desc, coalesce(turn, id) limit 1 for update skip locked
)
returning id, queue, task_name, priority, lock, queueing_lock, args::text as args, headers::text as headers, attempts, claim, abort_requested,
          to_json(scheduled_at) #>> '{}' as scheduled_at, to_json(enqueued_at) #>> '{}' as enqueued_at,
          to_json(started_at) #>> '{}' as started_at, to_json(ready_at) #>> '{}' as ready_at, to_json(expires_at) #>> '{}' as expires_at, max_attempts
