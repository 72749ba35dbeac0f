-- The jobs of a lock: its head, and the first of those behind it.
(select j.id, j.task_name as task, j.worker_id, true as is_head from @schema.adjourn_jobs j where j.lock = %(lock)s::text and j.hold in (@heads) limit 1)
union all
(select j.id, j.task_name, j.worker_id, false from @schema.adjourn_jobs j where j.lock = %(lock)s::text and j.hold in (@behind, @unplaced)
 order by j.priority desc, j.id limit 20)
