select l.scope, l.name, l.concurrency, l.rates::text as rates, l.is_declared as declared,
       (select count(*) from @schema.adjourn_jobs j where j.hold = @gate and j.gate_id = l.id) as waiting,
       case l.scope
           when 'key' then (select count(*) from @schema.adjourn_jobs j where j.limit_id = l.id and j.key_slot is not null)
           when 'task' then (select count(*) from @schema.adjourn_jobs j where j.task_name = l.name and j.task_slot is not null)
           else (select count(*) from @schema.adjourn_jobs j where j.queue = l.name and j.queue_slot is not null) end as held
from @schema.adjourn_limits l order by l.scope, l.name
