-- The limits, with how many places of each are taken, and how many jobs wait for one; no more than @counted rows of each are read. Of those that are
-- no queue's also in which queues the first thousand jobs wait.
select l.scope, l.name, l.concurrency, l.rates, l.is_declared, waits.jobs as waiting, waits.jobs >= @counted as is_capped,
       case l.scope
           when 'key' then (select count(*) from (select 1 from @schema.adjourn_jobs j where j.limit_id = l.id and j.key_slot is not null limit @counted) few)
           when 'task' then (select count(*) from (select 1 from @schema.adjourn_jobs j where j.task_name = l.name and j.task_slot is not null limit @counted) few)
           else (select count(*) from (select 1 from @schema.adjourn_jobs j where j.queue = l.name and j.queue_slot is not null limit @counted) few)
       end as held,
       case when l.scope <> 'queue' and waits.jobs > 0 then (
           select jsonb_object_agg(kind.queue, kind.jobs) from (
               select few.queue, count(*) as jobs from (
                   select j.queue from @schema.adjourn_jobs j where j.hold = @gate and j.gate_id = l.id limit 1000
               ) few group by few.queue
           ) kind
       ) end as queues
from @schema.adjourn_limits l cross join lateral (
    select count(*) as jobs from (select 1 from @schema.adjourn_jobs j where j.hold = @gate and j.gate_id = l.id limit @counted) few
) waits
order by l.scope, l.name limit @listed
