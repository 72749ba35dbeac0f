-- Only waiting jobs. If one was the head of its lock, record the lock, so that the placer gives it another head.
with waiting as materialized (
    select id from @schema.adjourn_jobs where id = any(%(ids)s::bigint[]) and worker_id is null order by id for update
), gone as (
    delete from @schema.adjourn_jobs j using waiting where j.id = waiting.id and j.worker_id is null returning j.*
), stored as (
    insert into @schema.adjourn_finished_jobs (
        id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
        abort_requested, enqueued_at, started_at, errors, status, finished_at
    )
    select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
           abort_requested, enqueued_at, started_at, errors, 'cancelled', now()
    from gone where not %(delete)s::boolean
), noted as (
    insert into @schema.adjourn_headless_locks (lock) select distinct lock from gone where lock is not null and hold = @ready
)
select id from gone
