-- The queues with jobs that could run now, and the oldest job of each, among the first of each priority: found from one to the next in
-- the index. Jobs of a paused queue or task could not, although they are as they were until a worker looks at them.
with recursive pair as (
    (select j.queue, j.priority from @schema.adjourn_jobs j where j.hold = @ready order by j.queue, j.priority desc limit 1)
    union all
    select next.queue, next.priority from pair cross join lateral (
        (select j.queue, j.priority from @schema.adjourn_jobs j
         where j.hold = @ready and j.queue >= pair.queue and j.queue <= pair.queue and j.priority < pair.priority
         order by j.queue, j.priority desc limit 1)
        union all
        (select j.queue, j.priority from @schema.adjourn_jobs j where j.hold = @ready and j.queue > pair.queue
         order by j.queue, j.priority desc limit 1)
        limit 1
    ) next
), chosen as (select queue, priority from pair
    where queue not in (select p.name from @schema.adjourn_pauses p where p.scope = 'queue' and (p.ends_at is null or p.ends_at > now())) limit 200
)
select distinct on (chosen.queue) chosen.queue, each.id, extract(epoch from now() - each.since)::double precision as seconds
from chosen cross join lateral (
    select few.id, greatest(few.enqueued_at, few.scheduled_at, few.ready_at) as since, num_nonnulls(few.scheduled_at, few.ready_at) > 0 as is_later
    from (
        select j.id, j.task_name, j.enqueued_at, j.scheduled_at, j.ready_at, j.worker_id from @schema.adjourn_jobs j
        where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue and j.priority = chosen.priority
        order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 1000
    ) few
    where few.worker_id is null and few.task_name not in (select p.name from @schema.adjourn_pauses p where p.scope = 'task' and (p.ends_at is null or p.ends_at > now())) limit 1
) first
cross join lateral (
    select first.id, first.since
    union all
    -- One that was run again, or was due later, may hide some behind it that have waited for longer.
    select near.id, greatest(near.enqueued_at, near.scheduled_at, near.ready_at) from (
        select next.* from (
            select j.id, j.task_name, j.enqueued_at, j.scheduled_at, j.ready_at, j.worker_id from @schema.adjourn_jobs j
            where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue and j.priority = chosen.priority
            order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 1000
        ) next
        where next.worker_id is null and next.task_name not in (select p.name from @schema.adjourn_pauses p where p.scope = 'task' and (p.ends_at is null or p.ends_at > now())) limit 100
    ) near
    where first.is_later
) each
order by chosen.queue, seconds desc
