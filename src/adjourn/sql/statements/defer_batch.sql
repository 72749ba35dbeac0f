-- Store a large batch. Each column is the text of a JSON array, or null, and so are the ids: a driver passes text on as it is,
-- while it would look at each value of an array, and at each row.
select json_agg(s.id order by s.position) #>> '{}' as ids, max(s.taken) as taken, to_json(now()) #>> '{}' as enqueued_at
from @schema.adjourn_defer_jobs_v1(
    array(select json_array_elements_text(%(queues)s::text::json)),
    array(select json_array_elements_text(%(task_names)s::text::json)),
    array(select json_array_elements_text(%(priorities)s::text::json))::integer[],
    array(select json_array_elements_text(%(locks)s::text::json)),
    array(select json_array_elements_text(%(queueing_locks)s::text::json)),
    array(select json_array_elements_text(%(args)s::text::json))::jsonb[],
    array(select json_array_elements_text(%(headers)s::text::json))::jsonb[],
    array(select json_array_elements_text(%(scheduled_at)s::text::json))::timestamptz[],
    array(select json_array_elements_text(%(schedule_in)s::text::json))::double precision[],
    %(own_transaction)s::boolean
) with ordinality s(id, taken, position)
