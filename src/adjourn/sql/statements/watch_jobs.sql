select id, has_ended from @schema.adjourn_watch_jobs_v1(%(ids)s::bigint[])
