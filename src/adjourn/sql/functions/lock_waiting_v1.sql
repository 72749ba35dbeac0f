-- Lock those of these jobs that wait, and return their ids. A job may be in the hands of another transaction. Most of those end at once:
-- one that only moves the job, or a claim, after which the job does not wait any more. So look again for a while. Somebody who keeps the
-- job for longer may wait for something that the caller holds; then it is left out, and is as good as running.
--   Each look is a block of its own, which is undone if a job was claimed in the middle of it: a lock on a running job would keep its
--   worker from ending it.
create function @schema.adjourn_lock_waiting_v1(p_ids bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_until timestamptz := clock_timestamp() + interval '200 ms';
    v_asked bigint[];
    v_got bigint[];
    v_locked bigint[] := '{}';
begin
    loop
        v_asked := array(
            select j.id from @schema.adjourn_jobs j where j.id = any(p_ids) and j.id <> all(v_locked) and j.worker_id is null
        );
        exit when v_asked = '{}';
        begin
            v_got := array(
                select j.id from @schema.adjourn_jobs j where j.id = any(v_asked) and j.worker_id is null
                order by j.id for update skip locked
            );
            if exists (
                select from @schema.adjourn_jobs j where j.id = any(v_asked) and j.id <> all(v_got) and j.worker_id is not null
            ) then
                raise exception using errcode = 'ADJ01';
            end if;
            v_locked := v_locked || v_got;
            exit when cardinality(v_got) = cardinality(v_asked) or clock_timestamp() > v_until;
            perform pg_sleep(0.002);
        exception when sqlstate 'ADJ01' then
            null;
        end;
    end loop;
    return v_locked;
end $$;
