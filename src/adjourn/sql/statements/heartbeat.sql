with beat as (
    update @schema.adjourn_workers
    set last_heartbeat_at = now(), expires_at = now() + make_interval(secs => %(timeout)s), overdue = %(overdue)s::bigint[],
        running = %(running)s::bigint[], running_claims = %(claims)s::integer[], details = coalesce(%(details)s::text::jsonb, details)
    where id = %(worker_id)s and not dead returning id
)
select exists (select from beat) as alive,
       array(select id from @schema.adjourn_jobs where abort_requested and worker_id = %(worker_id)s) as aborts,
       exists (
           select from @schema.adjourn_workers other
           where other.id <> %(worker_id)s and (
               other.dead or other.expires_at < now()
               -- After an outage of all, the first one that is back or new leaves the others the time of a heartbeat to come back.
               and exists (
                   select from @schema.adjourn_workers
                   where id = %(worker_id)s and expires_at >= now() and last_heartbeat_at <> started_at
               )
           )
       ) as expired
-- A queue of notifications that was full stays full until somebody asks how full it is, though all listeners have read it since.
from pg_notification_queue_usage()
