select outcome, culprit from @schema.adjourn_wait_for_jobs_v1(%(job_id)s, %(claim)s, %(worker_id)s, %(ids)s::bigint[])
