-- Jobs that wait for their time, the soonest due first, from after a time and an id: which of the next %(budget)s of them match, %(limit)s at most.
-- Each row says how many were looked at in all, and where the last of these is.
with asked as materialized (select %(filter)s::jsonb as wanted
), seen as materialized (
    select j.*, row_number() over (order by j.scheduled_at, j.id) as number from (
        select j.* from @schema.adjourn_jobs j
        where j.hold = @scheduled and j.scheduled_at >= %(after_at)s::timestamptz
          and (j.scheduled_at, j.id) > (%(after_at)s::timestamptz, %(after_id)s::bigint)
        order by j.scheduled_at, j.id limit %(budget)s::integer
    ) j
), hit as materialized (
    select seen.id, seen.number from seen cross join asked
    where (not asked.wanted ? 'queue' or seen.queue = asked.wanted ->> 'queue')
      and (not asked.wanted ? 'task' or seen.task_name = asked.wanted ->> 'task')
      and (not asked.wanted ? 'lock' or seen.lock = asked.wanted ->> 'lock')
      and (not asked.wanted ? 'queueing_lock' or seen.queueing_lock = asked.wanted ->> 'queueing_lock')
      and (not asked.wanted ? 'waits_for' or asked.wanted ->> 'waits_for'
           = case when seen.awaited_event is not null then 'event' when seen.attempts > 0 then 'retry' else 'time' end)
      and (not asked.wanted ? 'priority' or seen.priority = (asked.wanted ->> 'priority')::integer)
      and (not asked.wanted ? 'min_attempts' or seen.attempts >= (asked.wanted ->> 'min_attempts')::integer)
      and (not asked.wanted ? 'args' or seen.args @> (asked.wanted -> 'args'))
      and (not asked.wanted ? 'error' or strpos(
          concat_ws(': ', seen.errors -> -1 ->> 'exception', seen.errors -> -1 ->> 'message'), asked.wanted ->> 'error') > 0)
    order by seen.number limit %(limit)s::integer
), reached as (
    select case when (select count(*) from hit) >= %(limit)s::integer then (select max(hit.number) from hit) else (select count(*) from seen) end as looked,
           (select count(*) from seen) < %(budget)s::integer as is_all
)
select reached.looked, reached.is_all and reached.looked = (select count(*) from seen) as is_complete,
       to_json(last.scheduled_at) #>> '{}' as reached_at, last.id as reached_id, j.*
from reached left join seen last on last.number = reached.looked
left join lateral @schema.adjourn_read_jobs_v1(array(select hit.id from hit)) j on true
order by j.scheduled_at, j.id
