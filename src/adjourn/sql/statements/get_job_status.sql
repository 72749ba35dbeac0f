select status from @schema.adjourn_job_status_v1(%(job_id)s) status
