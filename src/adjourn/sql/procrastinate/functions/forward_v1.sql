-- At the end of a transaction that has made a job wait in Procrastinate's table: move it here. A job whose lock is not free
-- there stays, and so does one that is refused here, or that fails.
create or replace function @schema.adjourn_procrastinate_forward_v1() returns trigger
language plpgsql security definer set search_path = pg_catalog, @theirs, pg_temp set lock_timeout = '2s' as $$
declare
    v_job record;
begin
    select j.id, j.lock, @refused as is_refused into v_job
    from @theirs.procrastinate_jobs j where j.id = new.id and j.status = 'todo' for update;
    if not found or v_job.is_refused then
        return null;
    end if;
    if v_job.lock is not null then
        -- Jobs of the lock that others have stored: this one stays with them. The share lock keeps the last of them from ending,
        -- and from being moved, before this transaction has ended.
        perform from @theirs.procrastinate_jobs j
        where j.lock = v_job.lock and j.status in (@live) and j.id <> v_job.id
          and coalesce(position(',' || j.id || ',' in ',' || current_setting('adjourn.stored', true)), 0) = 0
        limit 1 for share;
        if found then
            return null;
        end if;
    end if;
    begin
        perform @schema.adjourn_procrastinate_take_v1(array[new.id], true);
    exception when unique_violation then
        perform @schema.adjourn_procrastinate_take_v1(array[new.id], false);
    end;
    return null;
exception when others then
    perform @schema.adjourn_procrastinate_tell_v1('a job was not moved', new.id, sqlerrm);
    return null;
end $$;
