-- End up to p_limit jobs that have expired by this time and that nobody runs, the longest expired first, and return how many there were.
-- Jobs that another transaction has locked stay as they are.
create function @schema.adjourn_expire_due_v1(p_until timestamptz, p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_ids bigint[] := array(
        select j.id from @schema.adjourn_jobs j where j.expires_at <= p_until and j.worker_id is null
        order by j.expires_at, j.id limit p_limit for update skip locked
    );
begin
    if v_ids <> '{}' then
        perform @schema.adjourn_expire_v1(v_ids);
    end if;
    return cardinality(v_ids);
end $$;
