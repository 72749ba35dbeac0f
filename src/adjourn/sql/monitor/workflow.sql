select w.id, w.name, w.jobs, w.remaining, w.failed, w.cancelled, w.is_cancelled, w.finished_at is not null as has_ended,
       extract(epoch from w.created_at)::double precision as created, extract(epoch from w.finished_at)::double precision as finished
from @schema.adjourn_workflows w where w.id = %(id)s::bigint
