-- Each job is an object in the text of a JSON array: see adjourn_defer_special_v1.
select id, taken, (select to_json(now()) #>> '{}') as enqueued_at
from @schema.adjourn_defer_special_v1(%(jobs)s::text::json, %(own_transaction)s::boolean)
