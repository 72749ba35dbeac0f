-- The id is null, and no worker is registered, if the schema is older than the worker needs it, or was renamed since its functions were made: one of
-- them tells, as all are made together. When it has registered, in microseconds, tells the worker from one that gets its id after a failover.
with found as (
    select coalesce(max(version), 0) as version, exists (
        select from pg_proc p where p.pronamespace = to_regnamespace(@schema_name) and p.proname = 'adjourn_unregister_v1'
          and strpos(p.prosrc, @schema_name) = 0 and strpos(p.prosrc, quote_literal(@schema_name)) = 0
    ) as is_renamed from @schema.adjourn_migrations
), registered as (
    insert into @schema.adjourn_workers (name, queues, expires_at)
    select %(name)s::text, %(queues)s::text[], now() + make_interval(secs => %(timeout)s::double precision)
    from found where found.version >= %(needed_version)s::integer and not found.is_renamed
    returning id, (extract(epoch from started_at) * 1000000)::bigint as registered_at
)
select registered.id, registered.registered_at, found.version, found.is_renamed,
       exists (select from @schema.adjourn_workers other where other.dead or other.expires_at < now()) as expired
from found left join registered on true
