-- Make the partitions of finished jobs for this week and the coming weeks, and return the names of the new ones.
-- A week that already has rows in the default partition stays there.
create function @schema.adjourn_partition_v1(p_weeks integer) returns setof text
language plpgsql set lock_timeout = '500ms' set datestyle = 'ISO' as $$
declare
    v_from timestamptz;
    v_name text;
begin
    for v_from in
        select (date_trunc('week', now() at time zone 'UTC') + n * interval '1 week') at time zone 'UTC'
        from generate_series(0, p_weeks) n
    loop
        v_name := 'adjourn_finished_jobs_' || to_char(v_from at time zone 'UTC', 'YYYYMMDD');
        continue when exists (select from pg_class where relname = v_name and relnamespace = @schema_name::regnamespace);
        continue when exists (select from @schema.adjourn_finished_jobs_default where finished_at >= v_from and finished_at < v_from + interval '1 week');
        execute 'create table ' || @schema_name || '.' || quote_ident(v_name) || ' partition of ' || @schema_name
            || '.adjourn_finished_jobs for values from (' || quote_literal(v_from)
            || ') to (' || quote_literal(v_from + interval '1 week') || ')';
        return next v_name;
    end loop;
end $$;
