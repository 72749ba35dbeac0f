-- The limits, with how many places of each are taken, and how many jobs wait for one; no more than @counted rows of each are read.
select l.scope, l.name, l.concurrency, l.rates, l.is_declared, waits.jobs as waiting, waits.jobs >= @counted as is_capped,
       case l.scope
           when 'key' then (select count(*) from (select 1 from @schema.adjourn_jobs j where j.limit_id = l.id and j.key_slot is not null limit @counted) few)
           when 'task' then (select count(*) from (select 1 from @schema.adjourn_jobs j where j.task_name = l.name and j.task_slot is not null limit @counted) few)
           else (select count(*) from (select 1 from @schema.adjourn_jobs j where j.queue = l.name and j.queue_slot is not null limit @counted) few)
       end as held
from @schema.adjourn_limits l cross join lateral (
    select count(*) as jobs from (select 1 from @schema.adjourn_jobs j where j.hold = @gate and j.gate_id = l.id limit @counted) few
) waits
order by l.scope, l.name limit @listed
