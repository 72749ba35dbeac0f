-- Drop one of the partitions that adjourn_old_partitions_v1 names, if each of its jobs has one of these statuses and
-- this queue (null: any), no result that has not lapsed, and does not count for a unique key, unless it has succeeded.
-- Returns the outcome ('dropped', 'kept', 'busy', 'refused' or 'missing'), and how many jobs were dropped.
--   A drop locks all of finished_jobs for a moment, and while it waits for that lock, no worker can finish a job. So
--   the slow part, checking each job, comes first, under a lock that only blocks changes of this partition. Then the
--   drop waits very briefly, and not at all if another session waits for the partition already. That session may have
--   locked finished_jobs and wait for our partition; the timeout ends this before Postgres reports a deadlock.
create function @schema.adjourn_drop_partition_v1(p_name text, p_age interval, p_statuses text[], p_queue text)
returns table (outcome text, jobs bigint)
language plpgsql set lock_timeout = '2s' set jit = off as $$
declare
    v_table text := @schema_name || '.' || quote_ident(p_name);
    v_others boolean;
    v_stays text := 'status <> all($1) or queue <> $2 or result_expires_at > now() or (status <> ''succeeded'' and exists ('
        || 'select from ' || @schema_name || '.adjourn_unique_keys u where u.job_id = id and u.keep_until > now()))';
begin
    outcome := 'missing'; jobs := 0;
    if p_name in (select @schema.adjourn_old_partitions_v1(p_age)) then
        outcome := 'kept';
        -- Under a stricter isolation the query below would not see the latest changes.
        if current_setting('transaction_isolation') = 'read committed' then
            execute 'select exists (select from ' || v_table || ' where ' || v_stays || ')'
                into v_others using p_statuses, p_queue;
            if not v_others then
                execute 'lock table ' || v_table || ' in share mode';
                execute 'select coalesce(bool_or(' || v_stays || '), false), count(*) from ' || v_table
                    into v_others, jobs using p_statuses, p_queue;
            end if;
            if v_others then
                jobs := 0;
            elsif exists (
                select from pg_locks l where l.relation = v_table::regclass and not l.granted
                and l.database = (select d.oid from pg_database d where d.datname = current_database())
            ) then
                raise lock_not_available;
            else
                perform set_config('lock_timeout', least(200, (
                    select s.setting::integer / 2 from pg_settings s where s.name = 'deadlock_timeout'
                ))::text, true);
                execute 'drop table ' || v_table;
                outcome := 'dropped';
            end if;
        end if;
    end if;
    return next;
exception
    when lock_not_available then
        outcome := 'busy'; jobs := 0;
        return next;
    when insufficient_privilege or dependent_objects_still_exist or object_in_use then
        outcome := 'refused'; jobs := 0;
        return next;
    when undefined_table then
        outcome := 'missing'; jobs := 0;
        return next;
end $$;
