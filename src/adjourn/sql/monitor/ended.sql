-- What has become of jobs in the minutes since a time, by queue and task.
select extract(epoch from s.at)::double precision as at, s.queue, s.task_name as task, s.outcome, sum(s.jobs)::bigint as jobs
from @schema.adjourn_stats s where s.level in (0, 1) and s.at >= to_timestamp(%(since)s::double precision)
group by s.at, s.queue, s.task_name, s.outcome order by s.at limit 20000
