select count(*) as jobs, to_char(max(few.finished_at) at time zone 'UTC', 'YYYY-MM-DD') as newest
from (select f.finished_at from @schema.adjourn_finished_jobs_default f limit @counted) few
