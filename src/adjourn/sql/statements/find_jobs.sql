select id from @schema.adjourn_find_jobs_v1(
    %(statuses)s::text[], %(queue)s::text, %(task)s::text, %(error)s::text, %(finished_after)s::timestamptz, %(finished_before)s::timestamptz,
    %(after_id)s::bigint, %(limit)s::integer
) id
order by id
