-- The caller has freed these locks in this transaction. The best waiting job of each that no transaction has locked
-- becomes its head; but those go first that were claimed with the head before, p_followers, if they still are.
-- Returns the new heads that nobody has claimed.
create function @schema.adjourn_promote_v1(p_locks text[], p_followers bigint[]) returns bigint[]
language plpgsql as $$
declare
    v_ids bigint[];
    v_locks text[];
    v_special bigint[];
    v_claimed text[] := '{}';
begin
    perform pg_advisory_xact_lock_shared(@placing_key);
    if p_followers is not null then
        v_claimed := @schema.adjourn_promote_claimed_v1(p_locks, p_followers);
    end if;
    with freed as (
        select distinct lock from unnest(p_locks) lock where lock <> all(v_claimed)
    ), best as materialized (
        select candidate.id from freed cross join lateral (
            select j.id from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock = freed.lock
            order by j.priority desc, j.id limit 1 for update skip locked
        ) candidate
    ), promoted as (
        update @schema.adjourn_jobs j set
            ready_at = now(),
            hold = case when j.unknown_since is not null then @unknown when j.doubts >= @apart_from then @apart else @ready end
        where j.id = any(array(select id from best)) returning j.id, j.lock, j.special
    )
    select coalesce(array_agg(id), '{}'), coalesce(array_agg(lock), '{}'), array_agg(id) filter (where special)
    into v_ids, v_locks, v_special from promoted;
    if v_special is not null then
        perform @schema.adjourn_gate_v1(v_special);
    end if;
    if cardinality(v_ids) + cardinality(v_claimed) < cardinality(p_locks) then
        -- Other transactions have locked every candidate, so record the lock for the placer. (With `offset 0` each lock is looked up. Otherwise
        -- the jobs behind all locks might be read.)
        insert into @schema.adjourn_headless_locks (lock)
        select distinct lock from unnest(p_locks) lock
        where lock <> all(v_locks || v_claimed)
          and exists (select from @schema.adjourn_jobs b where b.hold in (@behind, @unplaced) and b.lock = lock.lock offset 0);
    end if;
    return v_ids;
end $$;
