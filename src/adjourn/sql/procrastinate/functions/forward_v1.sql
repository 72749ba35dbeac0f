-- At the end of a transaction that has made a job wait in Procrastinate's table: move it here. A job whose lock is not free
-- there stays, and so does one that is refused here, or that fails. All jobs of a transaction wait 2 s for others together.
create or replace function @schema.adjourn_procrastinate_forward_v1() returns trigger
language plpgsql security definer set search_path = pg_catalog, @theirs, pg_temp set lock_timeout = '2s' as $$
declare
    v_job record;
    v_current bigint;
    v_ids bigint[];
begin
    perform set_config('lock_timeout', greatest(
        10, 2000 - floor(extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)
    )::integer::text, true);
    select j.id, j.lock, j.queueing_lock, @refused as is_refused into v_job
    from @theirs.procrastinate_jobs j where j.id = new.id and j.status = 'todo' for update;
    if not found or v_job.is_refused then
        return null;
    end if;
    v_ids := array[v_job.id];
    v_current := pg_current_xact_id()::text::bigint;
    if v_job.lock is not null then
        -- Jobs of the lock that others have stored: this one stays with them. The share lock keeps the one that is found from
        -- ending, and from being moved, before this transaction has ended. What is visible and was written by a transaction that
        -- is in progress was written by this one, or by one of its savepoints: these move together.
        perform from @theirs.procrastinate_jobs j
        where j.lock = v_job.lock and j.status in (@live) and j.id <> v_job.id and (
            j.status <> 'todo' or @refused or age(j.xmin) > 0
            or pg_xact_status((v_current - age(j.xmin))::text::xid8) <> 'in progress'
        )
        limit 1 for share;
        if found then
            return null;
        end if;
        v_ids := array(
            select j.id from @theirs.procrastinate_jobs j
            where j.lock = v_job.lock and j.status = 'todo' and (
                j.id = v_job.id
                or age(j.xmin) <= 0 and pg_xact_status((v_current - age(j.xmin))::text::xid8) = 'in progress'
            )
        );
    elsif v_job.queueing_lock is null and tg_op = 'INSERT' then
        -- The rest of a batch moves with its first job.
        v_ids := v_ids || array(
            select j.id from @theirs.procrastinate_jobs j
            where j.id > v_job.id and j.id <= v_job.id + 1000 and j.status = 'todo' and j.lock is null and j.queueing_lock is null
              and not @refused and age(j.xmin) <= 0 and pg_xact_status((v_current - age(j.xmin))::text::xid8) = 'in progress'
        );
    end if;
    begin
        perform @schema.adjourn_procrastinate_take_v1(v_ids, true);
    exception when unique_violation then
        perform @schema.adjourn_procrastinate_take_v1(v_ids, false);
    end;
    return null;
exception when others then
    perform @schema.adjourn_procrastinate_tell_v1('a job was not moved', new.id, sqlerrm);
    return null;
end $$;
