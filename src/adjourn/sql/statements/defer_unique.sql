-- Store jobs of which some are unique. `jobs` is the text of a JSON array, because a driver would look at each value of other arrays.
select id, outcome, queueing_lock, (select to_json(now()) #>> '{}') as enqueued_at
from @schema.adjourn_defer_unique_v1(%(jobs)s::text::json, %(own_transaction)s::boolean)
