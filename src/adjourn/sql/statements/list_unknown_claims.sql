-- Jobs that this worker has claimed without having received the answer so far, each with the number of the claim.
select id, claim from @schema.adjourn_jobs
where hold = @ready and worker_id = %(worker_id)s and id <> all(%(known)s::bigint[]) order by id
