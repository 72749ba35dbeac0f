select id from @schema.adjourn_change_jobs_v1(
    %(ids)s::bigint[], %(priority)s::integer, %(queue)s::text, %(reschedule)s::boolean, %(at)s::timestamptz
) id
