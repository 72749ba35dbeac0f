-- Store one job without a queueing lock, as adjourn_defer_jobs_v1 and adjourn_wake_v1 do, but inline: it costs no more than a
-- bare insert.
with due as (
    select coalesce(now() + make_interval(secs => %(schedule_in)s::double precision), %(scheduled_at)s::timestamptz) as at
), job as (
    insert into @schema.adjourn_jobs (queue, task_name, priority, lock, args, scheduled_at, hold)
    select %(queue)s::text, %(task_name)s::text, %(priority)s::integer, %(lock)s::text, %(args)s::text::jsonb, due.at,
           case when due.at > now() then @scheduled when %(lock)s::text is not null then @unplaced else @ready end
    from due
    returning id
)
select id, case when %(own_transaction)s::boolean or exists (
    select from @schema.adjourn_workers where hungry and not dead and expires_at > now()
) then pg_notify(@channel, '')::text end as woken
from job
