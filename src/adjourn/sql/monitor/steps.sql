-- What runs of a job have done.
select s.kind, s.name, s.value::text as value, extract(epoch from s.until)::double precision as until, s.is_done, s.claim,
       extract(epoch from s.at)::double precision as at
from @schema.adjourn_steps s where s.job_id = %(id)s::bigint order by s.at, s.name limit @listed
