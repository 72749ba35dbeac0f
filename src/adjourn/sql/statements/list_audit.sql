select id, to_json(at) #>> '{}' as at, actor, how, action, target, filter::text as filter, details::text as details, jobs, outcome, address, request_id
from @schema.adjourn_audit
where id < coalesce(%(before_id)s::bigint, @largest_id) and (%(target)s::text is null or target = %(target)s::text)
order by id desc limit %(limit)s::integer
