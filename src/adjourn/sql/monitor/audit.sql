-- What people and workers have done, the newest first.
select a.id, a.actor, a.how, a.action, a.target, a.filter, a.jobs, a.ids is not null as has_ids, a.outcome, a.details, a.address, extract(epoch from a.at)::double precision as at
from @schema.adjourn_audit a
where a.id < coalesce(%(before_id)s::bigint, @largest_id) and (%(target)s::text is null or a.target = %(target)s::text)
  and (%(actor)s::text is null or a.actor = %(actor)s::text)
order by a.id desc limit 51
