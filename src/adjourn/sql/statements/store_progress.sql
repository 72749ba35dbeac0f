with free as materialized (
    select j.id, said.progress from unnest(%(ids)s::bigint[], %(claims)s::integer[], %(progress)s::text[]) said(id, claim, progress)
    join @schema.adjourn_jobs j on j.id between said.id and said.id and j.claim = said.claim
    where j.worker_id = %(worker_id)s order by j.id for update of j skip locked
)
update @schema.adjourn_jobs j set progress = free.progress::jsonb || jsonb_build_object('at', now()), special = true
from free where j.id between free.id and free.id returning j.id
