select j.id, j.task_name, j.queue_name as queue from (select j.*, %(stalled_after)s::double precision as p_stalled_after
    from @theirs.procrastinate_jobs j where j.status in (@live) and j.status <> 'todo') j
where @stalled order by j.id limit %(limit)s
