-- The id is null, and no worker is registered, if the schema is older than the worker needs it.
with found as (
    select coalesce(max(version), 0) as version from @schema.adjourn_migrations
), registered as (
    insert into @schema.adjourn_workers (name, queues, expires_at)
    select %(name)s::text, %(queues)s::text[], now() + make_interval(secs => %(timeout)s::double precision)
    from found where found.version >= %(needed_version)s::integer
    returning id
)
select registered.id, found.version from found left join registered on true
