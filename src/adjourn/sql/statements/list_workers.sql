select w.id, w.name, w.queues, to_json(w.started_at) #>> '{}' as started_at,
       to_json(w.last_heartbeat_at) #>> '{}' as last_heartbeat_at,
       not w.dead and w.expires_at > now() as alive, coalesce(busy.jobs, 0) as running, cardinality(w.overdue) as overdue,
       to_json(w.running)::text as running_jobs, w.details::text as details
from @schema.adjourn_workers w
left join (
    select j.worker_id, count(*) as jobs from (
        select worker_id from @schema.adjourn_jobs where hold = @ready and worker_id is not null
        union all
        -- In a subquery of their own, which is run once: in a condition it would be for each job that runs.
        select f.worker_id from @schema.adjourn_jobs f where f.worker_id is not null and f.id = any(array(
            select unnest(@schema.adjourn_followers_v1(
                array(select id from @schema.adjourn_jobs where hold = @ready and worker_id is not null),
                array(select id from @schema.adjourn_workers)
            ))
        ))
    ) j group by j.worker_id
) busy on busy.worker_id = w.id
order by w.id
