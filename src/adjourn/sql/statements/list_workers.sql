select w.id, w.name, w.queues, to_json(w.started_at) #>> '{}' as started_at,
       to_json(w.last_heartbeat_at) #>> '{}' as last_heartbeat_at,
       not w.dead and w.expires_at > now() as alive, coalesce(busy.jobs, 0) as running, cardinality(w.overdue) as overdue,
       to_json(w.running)::text as running_jobs, w.details::text as details
from @schema.adjourn_workers w
left join (
    select j.worker_id, count(*) as jobs from @schema.adjourn_jobs j
    where j.hold = @ready and j.worker_id is not null group by j.worker_id
) busy on busy.worker_id = w.id
order by w.id
