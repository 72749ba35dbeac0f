-- Jobs that match, with how far the walk has looked.
select search.looked, search.is_live, search.reached_id, search.reached_at, search.is_complete, j.*
from @schema.adjourn_search_jobs_v1(
    %(filter)s::jsonb, %(newest)s::boolean, %(is_live)s::boolean, %(after_id)s::bigint, %(budget)s::bigint, %(seconds)s::double precision,
    %(limit)s::integer
) search
left join lateral @schema.adjourn_read_jobs_v1(search.ids) j on true
order by array_position(search.ids, j.id)
