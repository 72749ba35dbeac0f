-- For how long the first job of each queue and priority could have run that does not: found from one to the next in the index. Those
-- that run stay in the index, before the first that does not; no more than @counted of each are looked at.
--   Jobs are in the order in which they were stored. One that was run again, or was due later, could run only since then, and would hide
-- those behind it that have waited for longer. So if the first is such a job, the oldest of the first 100 counts.
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
), chosen as (select queue, priority from pair limit @listed)
select chosen.queue, max(extract(epoch from now() - since.at))::double precision as latency
from chosen cross join lateral (
    select first.enqueued_at, first.scheduled_at, first.ready_at from (
        select j.worker_id, j.enqueued_at, j.scheduled_at, j.ready_at from @schema.adjourn_jobs j
        where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue and j.priority = chosen.priority
        order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit @counted
    ) first where first.worker_id is null limit 1
) few
cross join lateral (
    select greatest(few.enqueued_at, few.scheduled_at, few.ready_at) as at
    union all
    select min(greatest(near.enqueued_at, near.scheduled_at, near.ready_at)) from (
        select next.enqueued_at, next.scheduled_at, next.ready_at from (
            select j.worker_id, j.enqueued_at, j.scheduled_at, j.ready_at from @schema.adjourn_jobs j
            where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue and j.priority = chosen.priority
            order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit @counted
        ) next where next.worker_id is null limit 100
    ) near
    where num_nonnulls(few.scheduled_at, few.ready_at) > 0
) since
group by chosen.queue order by 2 desc, 1
