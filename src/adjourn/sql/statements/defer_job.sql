-- One job, as adjourn_defer_jobs_v1 and adjourn_wake_v1 would do it; without them it costs no more than a bare insert.
with job as (
    insert into @schema.adjourn_jobs (queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, scheduled_at, hold)
    values (
        %(queue)s, %(task_name)s, %(priority)s, %(lock)s, %(queueing_lock)s, %(queueing_lock)s, %(args)s::text::jsonb,
        %(scheduled_at)s::timestamptz,
        case when %(scheduled_at)s::timestamptz > now() then @scheduled when %(lock)s::text is not null then @unplaced else @ready end
    )
    returning id
)
select id, case when %(own_transaction)s::boolean or exists (
    select from @schema.adjourn_workers where hungry and not dead and expires_at > now()
) then pg_notify(@channel, '')::text end as woken
from job
