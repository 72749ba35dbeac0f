-- The queues with jobs that could run now, found from one to the next in the index, and the oldest job of each. Jobs of a paused queue
-- or task could not, although they are as they were until a worker looks at them.
with recursive queue as (
    (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
    union all
    select (select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > queue.queue order by j.queue limit 1)
    from queue where queue.queue is not null
), chosen as (select queue from queue
    where queue is not null and queue not in (select p.name from @schema.adjourn_pauses p where p.scope = 'queue') limit 200)
select chosen.queue, oldest.id, extract(epoch from now() - greatest(oldest.enqueued_at, oldest.scheduled_at))::double precision as seconds
from chosen cross join lateral (
    select few.id, few.enqueued_at, few.scheduled_at from (
        select j.id, j.task_name, j.enqueued_at, j.scheduled_at, j.worker_id from @schema.adjourn_jobs j
        where j.hold = @ready and j.queue >= chosen.queue and j.queue <= chosen.queue
        order by j.queue, j.priority desc, j.id limit 1000
    ) few
    where few.worker_id is null and few.task_name not in (select p.name from @schema.adjourn_pauses p where p.scope = 'task')
    order by few.id limit 1
) oldest
