select their_schema, to_json(started_at) #>> '{}' as started_at, forwarding, map_ids, first_id, their_last_id, history_bookmark,
       history_floor is null as history_done
from @schema.adjourn_procrastinate
