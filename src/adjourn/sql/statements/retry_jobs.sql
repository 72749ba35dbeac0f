select id from @schema.adjourn_retry_jobs_v1(
    %(ids)s::bigint[], %(statuses)s::text[], %(delay)s::double precision, %(at)s::timestamptz
) id
