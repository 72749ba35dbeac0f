-- How many jobs match, up to `most` of them, and of which kinds they are; with the time and the highest id, up to which they are looked for
-- later. Arguments and errors, which may be long, are not read for the kinds.
with search as materialized (
    select * from @schema.adjourn_search_jobs_v1(
        %(filter)s::jsonb, true, null, null, %(budget)s::bigint, %(seconds)s::double precision, %(most)s::integer
    )
)
select search.looked, search.is_complete, cardinality(search.ids) as jobs, now() as at,
       greatest((select max(j.id) from @schema.adjourn_jobs j), (select max(f.id) from @schema.adjourn_finished_jobs f)) as up_to_id,
       (
           select jsonb_agg(kind) from (
               select j.queue, j.task_name as task, j.status, count(*) as jobs from @schema.adjourn_all_jobs j where j.id = any(search.ids)
               group by j.queue, j.task_name, j.status order by count(*) desc, j.queue, j.task_name limit 20
           ) kind
       ) as kinds
from search
