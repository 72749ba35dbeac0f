-- Store several jobs. The columns are text, and so are the ids: a driver passes text on as it is, while it would look at each
-- value of an array, and at each row. All of a transaction's jobs are stored at one time, which is its `now()`.
select array_to_json(ids)::text as ids, taken, to_json(now()) #>> '{}' as enqueued_at
from @schema.adjourn_defer_jobs_v1(%(args)s::text, %(columns)s::text, %(own_transaction)s::boolean)
