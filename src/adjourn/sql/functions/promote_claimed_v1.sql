-- These locks have no head. p_followers were claimed with their heads, and those that still are, by whom it may be, come before all
-- others of their lock: the first of each becomes its head, and remembers the rest. If another transaction has locked that one, a
-- note tells the placer. Returns the locks for which the caller has no other head to choose.
create function @schema.adjourn_promote_claimed_v1(p_locks text[], p_followers bigint[]) returns text[]
language plpgsql as $$
declare
    v_first bigint[];
    v_rest text[];
    v_locks text[];
    v_headed text[];
begin
    select array_agg(claimed.ids[1]), array_agg(nullif(claimed.ids[2:], '{}')::text), array_agg(claimed.lock)
    into v_first, v_rest, v_locks from (
        select j.lock, array_agg(j.id order by j.priority desc, j.id) as ids from @schema.adjourn_jobs j
        where j.id = any(p_followers) and j.lock = any(p_locks) and j.hold <> @ready and j.worker_id is not null
        group by j.lock
    ) claimed;
    if v_locks is null then
        return '{}';
    end if;
    with headed as (
        update @schema.adjourn_jobs j set hold = @ready, followers = v_rest[array_position(v_first, j.id)]::bigint[]
        where j.id = any(array(
            select l.id from @schema.adjourn_jobs l
            where l.id = any(v_first) and l.hold <> @ready and l.worker_id is not null
            order by l.id for update skip locked
        )) returning j.lock
    )
    select coalesce(array_agg(lock), '{}') into v_headed from headed;
    insert into @schema.adjourn_headless_locks (lock, followers)
    select claimed.lock, claimed.first || claimed.rest::bigint[] from unnest(v_locks, v_first, v_rest) claimed(lock, first, rest)
    where claimed.lock <> all(v_headed);
    return v_locks;
end $$;
