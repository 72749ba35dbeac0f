-- The last tick of each schedule.
select d.task_name, d.periodic_id, to_json(to_timestamp(max(d.defer_timestamp))) #>> '{}' as last_tick
from @theirs.procrastinate_periodic_defers d where d.defer_timestamp is not null group by 1, 2 order by 1, 2
