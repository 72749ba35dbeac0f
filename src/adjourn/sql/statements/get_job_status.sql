select status from @schema.adjourn_all_jobs where id = %(job_id)s
