-- In which queues paused tasks have jobs that could run otherwise: those that were set aside, no more than a thousand of each kind, and among the
-- first thousand that are ready those that no worker has met yet.
with recursive paused as materialized (
    select p.name from @schema.adjourn_pauses p where p.scope = 'task' and (p.ends_at is null or p.ends_at > now()) order by p.name limit @listed
), kind as (
    select paused.name as task_name, (
        select j.queue from @schema.adjourn_jobs j where j.hold = @paused and j.task_name = paused.name order by j.task_name, j.queue limit 1
    ) as queue from paused
    union all
    select kind.task_name, (
        select j.queue from @schema.adjourn_jobs j where j.hold = @paused and j.task_name = kind.task_name and j.queue > kind.queue
        order by j.task_name, j.queue limit 1
    ) from kind where kind.queue is not null
), found as (
    select chosen.task_name, chosen.queue, few.jobs
    from (select kind.task_name, kind.queue from kind where kind.queue is not null limit @listed) chosen
    cross join lateral (
        select count(*) as jobs from (
            select from @schema.adjourn_jobs j
            where j.hold = @paused and j.task_name >= chosen.task_name and j.task_name <= chosen.task_name
              and j.queue >= chosen.queue and j.queue <= chosen.queue
            order by j.task_name, j.queue limit 1000
        ) first
    ) few
    union all
    select few.task_name, few.queue, count(*)
    from (
        select j.task_name, j.queue, j.worker_id from @schema.adjourn_jobs j where j.hold = @ready and exists (select from paused)
        order by j.priority desc, coalesce(j.turn, j.id) limit 1000
    ) few where few.worker_id is null and few.task_name in (select paused.name from paused) group by few.task_name, few.queue
)
select found.task_name as task, found.queue, sum(found.jobs)::bigint as jobs, bool_or(found.jobs >= 1000) as is_capped
from found group by found.task_name, found.queue order by 3 desc, 1, 2 limit @listed
