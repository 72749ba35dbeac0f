-- Make the partitions of finished jobs for this week and the coming weeks, and return the names of the new ones; none
-- while another session makes them.
--   p_since: also those of the weeks from this time on.
-- A week that already has rows in the default partition stays there.
--   Attaching a table locks the default partition alone against everybody: workers go on storing finished jobs while it
--   waits for sessions that read them. Creating it as a partition would lock all of finished_jobs.
create function @schema.adjourn_partition_v1(p_weeks integer, p_since timestamptz default now()) returns setof text
language plpgsql set lock_timeout = '500ms' set datestyle = 'ISO' as $$
declare
    v_from timestamptz;
    v_name text;
    v_table text;
begin
    if not pg_try_advisory_xact_lock(@migrating_key) then
        return;
    end if;
    for v_from in
        select monday at time zone 'UTC'
        from generate_series(
            date_trunc('week', least(p_since, now()) at time zone 'UTC'),
            date_trunc('week', now() at time zone 'UTC') + p_weeks * interval '1 week', interval '1 week'
        ) monday
    loop
        v_name := 'adjourn_finished_jobs_' || to_char(v_from at time zone 'UTC', 'YYYYMMDD');
        continue when exists (select from pg_class where relname = v_name and relnamespace = @schema_name::regnamespace);
        continue when exists (select from @schema.adjourn_finished_jobs_default where finished_at >= v_from and finished_at < v_from + interval '1 week');
        v_table := @schema_name || '.' || quote_ident(v_name);
        execute 'create table ' || v_table || ' (like ' || @schema_name || '.adjourn_finished_jobs including all)';
        execute 'alter table ' || @schema_name || '.adjourn_finished_jobs attach partition ' || v_table
            || ' for values from (' || quote_literal(v_from) || ') to (' || quote_literal(v_from + interval '1 week') || ')';
        return next v_name;
    end loop;
end $$;
