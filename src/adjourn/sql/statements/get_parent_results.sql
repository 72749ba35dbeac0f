select d.parent_id, d.name, d.place, f.status, f.result::text as result
from @schema.adjourn_dependencies d
left join lateral (
    select f.status, f.result from @schema.adjourn_finished_jobs f
    where f.id = d.parent_id and (f.result_expires_at is null or f.result_expires_at > now())
) f on true
where d.child_id = %(job_id)s::bigint and d.name is not null order by d.name, d.place
