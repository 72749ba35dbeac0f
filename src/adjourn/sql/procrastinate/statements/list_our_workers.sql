select count(*) filter (where not w.dead and w.expires_at > now()) as alive,
       (select count(*) from @schema.adjourn_jobs j where j.worker_id is not null) as doing,
       (select count(*) from @schema.adjourn_jobs j where j.worker_id is null) as todo,
       (select count(*) from @schema.adjourn_jobs j where length(j.queue) > 128 or length(j.task_name) > 128) as too_long
from @schema.adjourn_workers w
