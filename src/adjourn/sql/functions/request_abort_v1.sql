-- Ask for the end of those of these jobs that run, and return their ids.
create function @schema.adjourn_request_abort_v1(p_ids bigint[]) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_running bigint[] := @schema.adjourn_lock_jobs_v1(p_ids, true);
begin
    return query
    update @schema.adjourn_jobs j set abort_requested = true where j.id = any(v_running) returning j.id;
    if found then
        perform pg_notify(@channel, 'abort');
    end if;
end $$;
