-- The notes of workers that were declared dead in the last day, the latest first. The condition must be literally that of the index.
select a.target, a.actor as by, a.how, a.details, cardinality(a.ids) > 0 as has_ids,
       extract(epoch from now() - a.at)::double precision as seconds, extract(epoch from a.at)::double precision as at
from @schema.adjourn_audit a
where a.action = 'worker.died' and a.at > now() - interval '1 day' and a.at < now() + interval '1 day' and a.target is not null
order by a.at desc, a.id desc limit @listed
