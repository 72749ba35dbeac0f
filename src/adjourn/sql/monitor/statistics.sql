-- What has become of jobs in a range of time, in periods of so many seconds. `longest` is the longest period that a row tells of.
select extract(epoch from date_bin(make_interval(secs => %(step)s::double precision), s.at, to_timestamp(%(start)s::double precision)))::double precision as at,
       case when %(by_queue)s::boolean then s.queue end as queue, case when %(by_task)s::boolean then s.task_name end as task, s.outcome,
       max(case s.level when 4 then 86400 when 3 then 3600 when 2 then 600 else 60 end) as longest, sum(s.jobs)::bigint as jobs,
       sum(s.run_seconds) as run_seconds, sum(s.wait_seconds) as wait_seconds,
       array[sum(s.run_counts[1]), sum(s.run_counts[2]), sum(s.run_counts[3]), sum(s.run_counts[4]), sum(s.run_counts[5]), sum(s.run_counts[6]),
             sum(s.run_counts[7]), sum(s.run_counts[8]), sum(s.run_counts[9]), sum(s.run_counts[10]), sum(s.run_counts[11]), sum(s.run_counts[12]),
             sum(s.run_counts[13]), sum(s.run_counts[14]), sum(s.run_counts[15]), sum(s.run_counts[16]), sum(s.run_counts[17])]::bigint[] as run_counts,
       array[sum(s.wait_counts[1]), sum(s.wait_counts[2]), sum(s.wait_counts[3]), sum(s.wait_counts[4]), sum(s.wait_counts[5]), sum(s.wait_counts[6]),
             sum(s.wait_counts[7]), sum(s.wait_counts[8]), sum(s.wait_counts[9]), sum(s.wait_counts[10]), sum(s.wait_counts[11]), sum(s.wait_counts[12]),
             sum(s.wait_counts[13]), sum(s.wait_counts[14]), sum(s.wait_counts[15]), sum(s.wait_counts[16]), sum(s.wait_counts[17])]::bigint[] as wait_counts
from @schema.adjourn_stats s
where s.level in (0, 1, 2, 3, 4) and s.at >= to_timestamp(%(start)s::double precision) and s.at < to_timestamp(%(end)s::double precision)
  and (%(queue)s::text is null or s.queue = %(queue)s::text) and (%(task)s::text is null or s.task_name = %(task)s::text)
group by 1, 2, 3, 4 order by 1, 2, 3, 4 limit %(most)s::integer
