select id from @schema.adjourn_cancel_jobs_v1(%(ids)s::bigint[], %(delete)s::boolean, null, null) id
