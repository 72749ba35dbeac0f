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
select distinct on (chosen.queue) chosen.queue, oldest.id,
       extract(epoch from now() - greatest(oldest.enqueued_at, oldest.scheduled_at, oldest.ready_at))::double precision as seconds
from chosen cross join lateral (
    select first.id, first.enqueued_at, first.scheduled_at, first.ready_at from (
        select j.id, j.task_name, j.enqueued_at, j.scheduled_at, j.ready_at, j.worker_id from @schema.adjourn_jobs j
        where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue and j.priority = chosen.priority
        order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 1000
    ) first
    where first.worker_id is null and first.task_name not in (select p.name from @schema.adjourn_pauses p where p.scope = 'task' and (p.ends_at is null or p.ends_at > now())) limit 1
) oldest
order by chosen.queue, seconds desc
