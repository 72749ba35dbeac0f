with running as materialized (
    select id from @schema.adjourn_jobs where id = any(%(ids)s::bigint[]) and worker_id is not null order by id for update
)
update @schema.adjourn_jobs j set abort_requested = true from running where j.id = running.id
returning j.id, pg_notify(@channel, 'abort')::text as notified
