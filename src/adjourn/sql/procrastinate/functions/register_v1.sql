-- Before a job with a queueing lock is stored in Procrastinate's table: refuse it, as Procrastinate does, if that is taken here.
create or replace function @schema.adjourn_procrastinate_register_v1() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_taken boolean := false;
begin
    begin
        v_taken := exists (select from @schema.adjourn_jobs j where j.waiting_queueing_lock = new.queueing_lock);
    exception when others then
        perform @schema.adjourn_procrastinate_tell_v1('a queueing lock was not compared', new.id, sqlerrm);
    end;
    if v_taken then
        raise unique_violation using
            message = 'duplicate key value violates unique constraint "' || @queueing_lock_index || '"',
            detail = 'Key (queueing_lock)=(' || new.queueing_lock || ') already exists.', schema = @theirs_bare,
            table = 'procrastinate_jobs', constraint = @queueing_lock_index;
    end if;
    return new;
end $$;
