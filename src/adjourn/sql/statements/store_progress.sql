with free as materialized (
    select j.id, said.progress from (
        select * from unnest(%(ids)s::bigint[], %(claims)s::integer[], %(progress)s::text[]) said(id, claim, progress) order by said.id
    ) said cross join lateral (
        select j.id from @schema.adjourn_jobs j
        where j.id = said.id and j.claim = said.claim and j.worker_id = %(worker_id)s for update skip locked
    ) j
)
update @schema.adjourn_jobs j set progress = free.progress::jsonb || jsonb_build_object('at', now()), special = true
from free where j.id = free.id and j.id = any(%(ids)s::bigint[]) returning j.id
