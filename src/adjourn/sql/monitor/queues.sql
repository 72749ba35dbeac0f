-- The queues with jobs that are ready or run, found from one to the next in the index; of each, no more than @counted entries of the index
-- are counted, and of all no more than about 100,000. How many of them run is not asked: that would read the rows.
with recursive queue as (
    (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
    union all
    select (select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > queue.queue order by j.queue limit 1)
    from queue where queue.queue is not null
), chosen as (select queue from queue where queue is not null limit @listed
), cap as (select least(@counted, greatest(1000, 100000 / greatest(count(*), 1))) as jobs from chosen
)
select chosen.queue, few.jobs, few.jobs >= cap.jobs as is_capped
from chosen cross join cap cross join lateral (
    select count(*) as jobs from (
        select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue limit cap.jobs
    ) entry
) few
order by chosen.queue
