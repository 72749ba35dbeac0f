-- Those of the latest @counted jobs that have ended within the last hour, by task.
select few.task_name as task, count(*) as ended, count(*) filter (where few.status = 'failed') as failed,
       count(*) filter (where few.status in ('cancelled', 'aborted')) as given_up,
       coalesce(avg(extract(epoch from few.finished_at - few.started_at)), 0)::double precision as seconds,
       coalesce(max(extract(epoch from few.finished_at - few.started_at)), 0)::double precision as longest
from (
    select f.task_name, f.status, f.started_at, f.finished_at from @schema.adjourn_finished_jobs f
    order by f.id desc limit @counted
) few where few.finished_at > now() - interval '1 hour' group by few.task_name order by 2 desc, 1 limit @listed
