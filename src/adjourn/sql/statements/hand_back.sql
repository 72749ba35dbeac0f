-- Claimed and never started, or cut short by the worker's end: back to the queue, at the same place in its lock.
with mine as materialized (
    select j.id from @schema.adjourn_jobs j join unnest(%(ids)s::bigint[], %(claims)s::integer[]) u(id, claim) using (id, claim)
    where j.worker_id = %(worker_id)s order by j.id for update of j
), freed as (
    update @schema.adjourn_jobs j set worker_id = null, started_at = null from mine where j.id = mine.id returning j.id
)
select id, @schema.adjourn_wake_v1(false, %(worker_id)s)::text as woken from freed
