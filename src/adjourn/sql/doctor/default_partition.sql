select count(*) as jobs from (select from @schema.adjourn_finished_jobs_default limit @counted) few
