select count(*) as jobs from @schema.adjourn_find_jobs_v1(
    %(statuses)s::text[], %(queue)s::text, %(task)s::text, %(error)s::text, %(finished_after)s::timestamptz, %(finished_before)s::timestamptz,
    0, null
) id
