select task_name as name, count(*) as jobs_count,
       count(*) filter (where status = 'todo') as todo, count(*) filter (where status = 'doing') as doing,
       count(*) filter (where status = 'succeeded') as succeeded, count(*) filter (where status = 'failed') as failed,
       count(*) filter (where status = 'cancelled') as cancelled, count(*) filter (where status = 'aborted') as aborted
from @schema.adjourn_all_jobs
where (not %(live_only)s::boolean or is_live)
  and (%(queue)s::text is null or queue = %(queue)s)
  and (%(task)s::text is null or task_name = %(task)s)
  and (%(status)s::text is null or status = %(status)s)
  and (%(lock)s::text is null or lock = %(lock)s)
  and (%(waits_for)s::text is null or waits_for = %(waits_for)s)
group by task_name
order by task_name
