-- Store one job without a queueing lock, as adjourn_defer_jobs_v1 and adjourn_wake_for_v1 do, but inline: it costs no more than a
-- bare insert.
with due as (
    select coalesce(now() + make_interval(secs => %(schedule_in)s::double precision), %(scheduled_at)s::timestamptz) as at
), job as (
    insert into @schema.adjourn_jobs (queue, task_name, priority, lock, args, headers, scheduled_at, hold)
    select %(queue)s::text, %(task_name)s::text, %(priority)s::integer, %(lock)s::text, %(args)s::text::jsonb, %(headers)s::text::jsonb, due.at,
           case when due.at > now() then @scheduled when %(lock)s::text is not null then @unplaced else @ready end
    from due
    returning id, enqueued_at
)
select id, to_json(enqueued_at) #>> '{}' as enqueued_at, case
    when %(own_transaction)s::boolean then pg_notify(@channel, '')::text
    -- All hungry workers, so that whichever is free when the job is due knows of it.
    when due.at > now() then (
        select pg_notify(@channel, '')::text from @schema.adjourn_workers where hungry and not dead and expires_at > now() limit 1
    )
    else (
        select pg_notify(@channel, string_agg(chosen.id::text, ' '))::text from (
            select w.id from @schema.adjourn_workers w
            where w.hungry and not w.dead and w.expires_at > now() and (w.queues is null or %(queue)s = any(w.queues))
            order by random() limit 2
        ) chosen
        having count(*) > 0
    )
end as woken
from job, due
