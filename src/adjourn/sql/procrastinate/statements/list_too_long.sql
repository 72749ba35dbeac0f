select j.id, j.queue, j.task_name from @schema.adjourn_jobs j
where length(j.queue) > 128 or length(j.task_name) > 128 order by j.id limit %(limit)s
