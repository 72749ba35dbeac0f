-- How many jobs of each queue are in which state; of each queue's ready and running jobs, and of all others in each state, no more than
-- @counted rows are read.
with recursive queue as (
    (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
    union all
    select (select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > queue.queue order by j.queue limit 1)
    from queue where queue.queue is not null
), chosen as (select queue from queue where queue is not null limit @listed)
select chosen.queue, 'ready' as state, count(*) filter (where few.worker_id is null) as jobs, count(*) >= @counted as is_capped,
       count(*) filter (where few.worker_id is not null) as running
from chosen cross join lateral (
    select j.worker_id from @schema.adjourn_jobs j
    where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue
    order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit @counted
) few
group by chosen.queue
union all
select few.queue, few.state, count(*), sum(count(*)) over (partition by few.state) >= @counted, 0
from (
    (select 'scheduled' as state, j.queue from @schema.adjourn_jobs j where j.hold = @scheduled order by j.scheduled_at limit @counted)
    union all
    (select 'blocked', j.queue from @schema.adjourn_jobs j where j.hold = @behind order by j.lock limit @counted)
    union all
    (select 'unplaced', j.queue from @schema.adjourn_jobs j where j.hold = @unplaced order by j.id limit @counted)
) few group by few.queue, few.state
