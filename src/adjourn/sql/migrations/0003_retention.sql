-- Deleting old finished jobs: whole partitions where it can be done without holding up the workers, else rows in batches.

-- The names of the partitions of finished jobs that hold nothing younger than p_age, and that this role may drop.
create function @schema.adjourn_old_partitions_v1(p_age interval) returns setof text
language sql stable as $$
    select c.relname::text
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid and c.relnamespace = @schema_name::regnamespace
    cross join lateral (
        select (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([^'']+)''\)'))[1]::timestamptz as ends_at
    ) bound
    where i.inhparent = (@schema_name || '.adjourn_finished_jobs')::regclass and not i.inhdetachpending
      and pg_has_role(c.relowner, 'usage') and bound.ends_at <= now() - p_age
    order by bound.ends_at
$$;


-- Drop one of them if each of its jobs has one of these statuses and this queue (null: any).
-- Returns what came of it ('dropped', 'kept', 'busy', 'refused' or 'missing'), and how many jobs went with it.
--   A drop has finished_jobs to itself for a moment, and whoever wants to finish a job queues up behind a drop that
-- waits. So what takes long, looking at each job, comes before, under a lock that keeps nothing off but changes of this
-- partition; then the drop waits very briefly, and not at all if somebody waits for the partition already. Such a one
-- may have finished_jobs before us and want the partition after us: the time-out ends that before it counts as a deadlock.
create function @schema.adjourn_drop_partition_v1(p_name text, p_age interval, p_statuses text[], p_queue text)
returns table (outcome text, jobs bigint)
language plpgsql set lock_timeout = '2s' set jit = off as $$
declare
    v_table text := format('%s.%I', @schema_name, p_name);
    v_others boolean;
begin
    outcome := 'missing'; jobs := 0;
    if p_name in (select @schema.adjourn_old_partitions_v1(p_age)) then
        outcome := 'kept';
        -- Under a stricter isolation the look below would be one into the past.
        if current_setting('transaction_isolation') = 'read committed' then
            execute format('select exists (select from %s where status <> all($1) or queue <> $2)', v_table)
                into v_others using p_statuses, p_queue;
            if not v_others then
                execute format('lock table %s in share mode', v_table);
                execute format('select coalesce(bool_or(status <> all($1) or queue <> $2), false), count(*) from %s', v_table)
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
                execute format('drop table %s', v_table);
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


-- Look at the next p_limit finished jobs older than p_age, and delete those with one of these statuses and this queue
-- (null: any). Jobs in the hands of another transaction stay.
-- Returns how many were deleted, and the id to go on after, null when there are no more.
create function @schema.adjourn_delete_old_jobs_v1(
    p_age interval, p_statuses text[], p_queue text, p_after_id bigint, p_limit integer
) returns table (deleted integer, last_id bigint)
language plpgsql set plan_cache_mode = force_custom_plan set enable_seqscan = off set jit = off as $$
declare
    v_before timestamptz := now() - p_age;
    v_looked integer;
    v_from timestamptz;
    v_to timestamptz;
    v_ids bigint[];
begin
    select count(*), max(old.id), min(old.finished_at), max(old.finished_at) into v_looked, last_id, v_from, v_to
    from (
        select f.id, f.finished_at from @schema.adjourn_finished_jobs f
        where f.id > p_after_id and f.finished_at < v_before order by f.id limit p_limit
    ) old;
    -- Two that delete, or revive, the same jobs in another order must not wait for each other.
    v_ids := array(
        select f.id from @schema.adjourn_finished_jobs f
        where f.id > p_after_id and f.id <= last_id and f.finished_at between v_from and v_to
          and f.status = any(p_statuses) and (p_queue is null or f.queue = p_queue)
        order by f.id for update skip locked
    );
    delete from @schema.adjourn_finished_jobs f
    where f.id > p_after_id and f.id <= last_id and f.finished_at between v_from and v_to and f.id = any(v_ids);
    get diagnostics deleted = row_count;
    if v_looked < p_limit then
        last_id := null;
    end if;
    return next;
end $$;
