-- The queues with jobs that are ready or run, found from one to the next in the index; of each, no more than @counted rows are read.
with recursive queue as (
    (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
    union all
    select (select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > queue.queue order by j.queue limit 1)
    from queue where queue.queue is not null
), chosen as (select queue from queue where queue is not null limit @listed)
select chosen.queue, count(*) filter (where few.worker_id is null) as ready, count(*) filter (where few.worker_id is not null) as running,
       count(*) >= @counted as is_capped,
       coalesce(extract(epoch from now() - min(greatest(few.enqueued_at, few.scheduled_at)) filter (where few.worker_id is null)), 0)::double precision as latency
from chosen cross join lateral (
    select j.worker_id, j.enqueued_at, j.scheduled_at from @schema.adjourn_jobs j
    where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue
    order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit @counted
) few
group by chosen.queue order by chosen.queue
