select id from @schema.adjourn_jobs
where abort_requested and worker_id is not null and (%(queue)s::text is null or queue = %(queue)s)
order by id
