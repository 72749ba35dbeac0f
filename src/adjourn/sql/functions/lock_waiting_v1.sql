-- Lock those of these jobs that wait, and return their ids. A transaction that only moves a waiting job ends soon, so it is waited
-- for; so is a claim, after which the job does not wait any more. Somebody who keeps a job for longer may wait for something
-- that the caller holds, so such a job is left out: it is as good as running.
create function @schema.adjourn_lock_waiting_v1(p_ids bigint[]) returns bigint[]
language plpgsql set lock_timeout = '200ms' as $$
declare
    v_id bigint;
    v_locked bigint[] := '{}';
begin
    begin
        return @schema.adjourn_lock_jobs_v1(p_ids, false);
    exception when lock_not_available then
        perform set_config('lock_timeout', '1ms', true);
    end;
    foreach v_id in array p_ids loop
        begin
            v_locked := v_locked || @schema.adjourn_lock_jobs_v1(array[v_id], false);
        exception when lock_not_available then
            null;
        end;
    end loop;
    return v_locked;
end $$;
