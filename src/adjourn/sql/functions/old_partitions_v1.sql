-- The names of the partitions of finished jobs that have no job younger than p_age, and that this role may drop.
create function @schema.adjourn_old_partitions_v1(p_age interval) returns setof text
language sql stable set datestyle = 'ISO' as $$
    select c.relname::text
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid and c.relnamespace = @schema_name::regnamespace
    cross join lateral (
        select (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO [(]''([^'']+)''[)]'))[1]::timestamptz as ends_at
    ) bound
    where i.inhparent = (@schema_name || '.adjourn_finished_jobs')::regclass and not i.inhdetachpending
      and pg_has_role(c.relowner, 'usage') and bound.ends_at <= now() - p_age
    order by bound.ends_at
$$;
