-- Before a job is stored in Procrastinate's table: refuse it, as Procrastinate does, if its queueing lock is taken here. And
-- remember the jobs with a lock that this transaction stores, which move at its end.
create or replace function @schema.adjourn_procrastinate_register_v1() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_taken boolean := false;
begin
    begin
        if new.lock is not null then
            perform set_config('adjourn.stored', concat(current_setting('adjourn.stored', true), new.id, ','), true);
        end if;
        if new.queueing_lock is not null then
            v_taken := exists (select from @schema.adjourn_jobs j where j.waiting_queueing_lock = new.queueing_lock);
        end if;
    exception when others then
        perform @schema.adjourn_procrastinate_tell_v1('a new job was not checked', new.id, sqlerrm);
    end;
    if v_taken then
        raise unique_violation using
            message = 'duplicate key value violates unique constraint "' || @queueing_lock_index || '"',
            detail = 'Key (queueing_lock)=(' || new.queueing_lock || ') already exists.', schema = @theirs_bare,
            table = 'procrastinate_jobs', constraint = @queueing_lock_index;
    end if;
    return new;
end $$;
