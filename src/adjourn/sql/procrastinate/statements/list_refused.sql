select j.id, j.queue_name as queue, j.task_name,
       case when j.queue_name = '' then 'its queue has no name' when j.task_name = '' then 'its task has no name'
            else 'its arguments are no object' end as reason
from @theirs.procrastinate_jobs j where j.status in (@live) and @refused order by j.id limit %(limit)s
