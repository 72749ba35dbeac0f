-- Keep a job as it is until the end of the transaction, and say how that is.
with live as materialized (
    select case when j.worker_id is null then 'todo' else 'doing' end as status, j.claim, j.worker_id, j.started_at as at
    from @schema.adjourn_jobs j where j.id = %(job_id)s::bigint for update
), ended as materialized (
    select f.status, f.claim, f.worker_id, f.finished_at as at from @schema.adjourn_finished_jobs f where f.id = %(job_id)s::bigint for update
)
select found.status, found.claim, found.worker_id, extract(epoch from clock_timestamp() - found.at)::double precision as seconds
from (select * from live union all select * from ended) found
