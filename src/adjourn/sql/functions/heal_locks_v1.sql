-- Of the next p_limit locks behind which jobs wait, beginning with p_from, leave a note of each that has no head. Returns how many these are, and
-- the lock that follows; null if none does. Of each lock one job is read.
create function @schema.adjourn_heal_locks_v1(p_from text, p_limit integer, out noted integer, out following text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_locks text[];
begin
    noted := 0;
    -- In a new session planning what follows costs more than this look.
    if (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) order by j.lock limit 1) is null then
        return;
    end if;
    v_locks := array(
        with recursive chain(lock) as (
            (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock >= p_from order by j.lock limit 1)
            union all
            select (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock > chain.lock order by j.lock limit 1)
            from chain where chain.lock is not null
        )
        select chain.lock from chain where chain.lock is not null limit p_limit + 1
    );
    if v_locks = '{}' then
        return;
    end if;
    following := v_locks[p_limit + 1];
    v_locks := array(
        select u from unnest(v_locks[1 : p_limit]) u
        where not exists (select from @schema.adjourn_jobs h where h.hold in (@heads) and h.lock = u offset 0)
    );
    insert into @schema.adjourn_headless_locks (lock, followers)
    select u, nullif(array(
        select j.id from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock = u and j.worker_id is not null
    ), '{}') from unnest(v_locks) u;
    noted := cardinality(v_locks);
end $$;
