-- How many jobs of each queue are in which state. Of ready and running jobs, entries of the index are counted, no more than @counted of
-- each queue and about 100,000 of all. Those run that workers have said they run at their last heartbeat, and those among the first
-- that are ready, for what was claimed since is found there. Of the others no more than @counted rows of each state are read.
with recursive queue as (
    (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
    union all
    select (select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > queue.queue order by j.queue limit 1)
    from queue where queue.queue is not null
), chosen as (select queue from queue where queue is not null limit @listed
), cap as (select least(@counted, greatest(1000, 100000 / greatest(count(*), 1))) as jobs from chosen
), running as (
    select j.queue, count(*) as jobs from @schema.adjourn_jobs j
    where j.worker_id is not null and j.hold = @ready and j.id = any(
        array(select unnest(w.running) from @schema.adjourn_workers w limit @counted)
        || array(select few.id from @schema.adjourn_jobs few where few.hold = @ready order by few.priority desc, coalesce(few.turn, few.id) limit 1000)
    ) group by j.queue
)
select chosen.queue, 'ready' as state, greatest(few.jobs - coalesce(running.jobs, 0), 0) as jobs, few.jobs >= cap.jobs as is_capped,
       coalesce(running.jobs, 0) as running
from chosen cross join cap cross join lateral (
    select count(*) as jobs from (
        select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue limit cap.jobs
    ) entry
) few left join running on running.queue = chosen.queue
union all
select few.queue, few.state, count(*), sum(count(*)) over (partition by few.state) >= @counted, 0
from (
    (select 'scheduled' as state, j.queue from @schema.adjourn_jobs j where j.hold = @scheduled order by j.scheduled_at limit @counted)
    union all
    (select 'blocked', j.queue from @schema.adjourn_jobs j where j.hold = @behind order by j.lock limit @counted)
    union all
    (select 'unplaced', j.queue from @schema.adjourn_jobs j where j.hold = @unplaced order by j.id limit @counted)
) few group by few.queue, few.state
