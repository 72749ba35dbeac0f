select j.status::text as status, j.queue_name as queue, j.task_name, count(*) as jobs
from @theirs.procrastinate_jobs j group by 1, 2, 3 order by 1, 2, 3
