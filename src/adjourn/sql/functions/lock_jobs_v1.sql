-- Lock those of these jobs that are running (p_running) or waiting (not p_running), and return their ids.
--   `for update` waits for a transaction that changes a row, and locks the new version of the row even if it is no longer
--   looked for. A caller may keep its transaction open, and with it a job that a worker has claimed meanwhile. So the locks
--   are taken in a block of their own: if it got another set of jobs than it has asked for, it is undone, and begins anew.
create function @schema.adjourn_lock_jobs_v1(p_ids bigint[], p_running boolean) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_asked bigint[];
    v_locked bigint[];
begin
    loop
        v_asked := array(
            select j.id from @schema.adjourn_jobs j
            where j.id = any(p_ids) and (j.worker_id is not null) = p_running order by j.id
        );
        begin
            v_locked := array(
                select j.id from @schema.adjourn_jobs j
                where j.id = any(v_asked) and (j.worker_id is not null) = p_running order by j.id for update
            );
            if v_locked = v_asked then
                return v_locked;
            end if;
            raise exception using errcode = 'ADJ01';
        exception when sqlstate 'ADJ01' then
            null;
        end;
    end loop;
end $$;
