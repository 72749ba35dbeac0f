-- What earlier runs of a job have done; the seconds that are left of a sleep.
select kind, name, value::text as value, extract(epoch from until - now())::double precision as seconds
from @schema.adjourn_steps where job_id = %(job_id)s order by kind, name
