-- Jobs that wait for a worker that knows their task, by task and queue, the longest wait first. The kinds are found from one to the next in
-- the index; of each, no more than @counted rows are read, and of all no more than about that many.
with recursive kind as (
    (select j.task_name, j.queue from @schema.adjourn_jobs j where j.hold = @unknown order by j.task_name, j.queue limit 1)
    union all
    select next.task_name, next.queue from kind cross join lateral (
        select j.task_name, j.queue from @schema.adjourn_jobs j
        where j.hold = @unknown and (j.task_name, j.queue) > (kind.task_name, kind.queue) order by j.task_name, j.queue limit 1
    ) next
), chosen as (select task_name, queue from kind limit @listed
), cap as (select greatest(100, @counted / greatest(count(*), 1)) as jobs from chosen
)
select chosen.task_name as task, chosen.queue, few.jobs, few.jobs >= cap.jobs as is_capped, few.seconds
from chosen cross join cap cross join lateral (
    select count(*) as jobs, extract(epoch from now() - min(first.unknown_since))::double precision as seconds from (
        select j.unknown_since from @schema.adjourn_jobs j
        where j.hold = @unknown and j.task_name >= chosen.task_name and j.task_name <= chosen.task_name
          and j.queue >= chosen.queue and j.queue <= chosen.queue
        order by j.task_name, j.queue, j.priority desc, j.id limit cap.jobs
    ) first
) few
order by few.seconds desc nulls last, 1, 2
