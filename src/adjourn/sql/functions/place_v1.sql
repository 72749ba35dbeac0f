-- Place jobs that have a lock: one job of each lock becomes its head, the others wait behind it. Locks without a head
-- get a new one. Places under limits that are free are given to jobs that wait for them. Only one session places jobs at a time, elected
-- by a try-lock; it waits only for workers' promotions. `is_left`: there is more to be done, or other transactions hold what it is about.
create function @schema.adjourn_place_v1(p_limit integer) returns table (
    elected boolean, placed integer, promoted integer, waiting integer, is_left boolean
)
language plpgsql
set lock_timeout = '200ms' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_new bigint[];
    v_noted text[];
    v_followers bigint[];
    v_free text[];
    v_claimed text[];
    v_heads bigint[];
    v_headed text[];
    v_better bigint[];
    v_worse bigint[];
    v_demoted text[];
    v_gone bigint[];
    v_undecided bigint[];
    v_special bigint[];
begin
    elected := pg_try_advisory_xact_lock(@electing_key);
    placed := 0; promoted := 0; waiting := 0; is_left := false;
    if not elected
        or not exists (select from @schema.adjourn_jobs where hold = @unplaced)
           and not exists (select from @schema.adjourn_headless_locks) and not exists (select from @schema.adjourn_arrivals)
           and not exists (select from @schema.adjourn_open_limits)
           and not exists (select from @schema.adjourn_due_rates d where d.at <= now()) then
        return next;
        return;
    end if;
    begin
        perform pg_advisory_xact_lock(@placing_key);
    exception when lock_not_available then
        -- Somebody's commit takes long, which is no fault of the caller's.
        is_left := true;
        return next;
        return;
    end;
    -- Consider new jobs, and locks that were recorded as headless.
    v_new := array(select j.id from @schema.adjourn_jobs j where j.hold = @unplaced order by j.id limit p_limit for update skip locked);
    with noted as (delete from @schema.adjourn_headless_locks returning lock, followers)
    select coalesce(array_agg(distinct lock), '{}'), string_to_array(string_agg(array_to_string(followers, ','), ','), ',')::bigint[]
    into v_noted, v_followers from noted;
    -- 1. The best waiting job that no transaction has locked becomes the head of a lock that has none, but followers that are
    --    still claimed come before it. (With `offset 0` the
    --    head of each lock is looked up. Otherwise a plan that was made while the table was empty reads all heads.)
    v_free := array(
        select x.lock from (
            select j.lock from @schema.adjourn_jobs j where j.id = any(v_new) union select unnest(v_noted)
        ) x
        where not exists (select from @schema.adjourn_jobs h where h.hold in (@heads) and h.lock = x.lock offset 0)
    );
    if v_followers is not null then
        v_claimed := @schema.adjourn_promote_claimed_v1(v_free, v_followers);
        v_free := array(select u from unnest(v_free) u where u <> all(v_claimed));
    end if;
    v_heads := array(
        select candidate.id from unnest(v_free) free(lock) cross join lateral (
            select b.id from @schema.adjourn_jobs b where b.hold in (@behind, @unplaced) and b.lock = free.lock
            order by b.priority desc, b.id limit 1 for update skip locked
        ) candidate
    );
    with headed as (
        update @schema.adjourn_jobs j set
            ready_at = case when j.hold = @behind then now() else j.ready_at end,
            hold = case when j.unknown_since is not null then @unknown when j.doubts >= @apart_from then @apart else @ready end
        where j.id = any(v_heads) returning j.id, j.lock, j.special
    )
    select coalesce(array_agg(lock), '{}'), count(*), array_agg(id) filter (where special) into v_headed, promoted, v_special from headed;
    if promoted < cardinality(v_free) then
        insert into @schema.adjourn_headless_locks (lock)
        select free.lock from unnest(v_free) free(lock)
        where free.lock <> all(v_headed)
          and exists (select from @schema.adjourn_jobs b where b.hold = @behind and b.lock = free.lock offset 0);
        get diagnostics waiting = row_count;
    end if;

    -- 2. A better new job replaces a head that is not claimed yet, unless that is a job that may kill its worker.
    with best as (
        select distinct on (j.lock) j.lock, j.id, j.priority from @schema.adjourn_jobs j
        where j.id = any(v_new) and j.hold + 0 = @unplaced order by j.lock, j.priority desc, j.id
    )
    select array_agg(best.id), array_agg(head.id) into v_better, v_worse
    from best cross join lateral (
        select h.id, h.priority, h.hold, h.worker_id from @schema.adjourn_jobs h where h.hold in (@heads) and h.lock = best.lock offset 0
    ) head
    where head.hold = @ready and head.worker_id is null and (best.priority > head.priority or (best.priority = head.priority and best.id < head.id));
    if v_better is not null then
        with demoted as (
            update @schema.adjourn_jobs j set hold = @behind where j.id = any(array(
                select l.id from @schema.adjourn_jobs l
                where l.id = any(v_worse) and l.hold + 0 = @ready and l.worker_id is null for update skip locked
            )) returning j.lock, j.id, j.special
        )
        select coalesce(array_agg(lock), '{}'), array_agg(id) filter (where special) into v_demoted, v_gone from demoted;
        if v_gone is not null then
            -- Else the new head might wait for a place that the old one keeps behind it.
            perform @schema.adjourn_give_up_v1(v_gone);
        end if;
        v_heads := array(
            select candidate.id from unnest(v_demoted) free(lock) cross join lateral (
                select b.id from @schema.adjourn_jobs b where b.hold in (@behind, @unplaced) and b.lock = free.lock
                order by b.priority desc, b.id limit 1 for update skip locked
            ) candidate
        );
        with headed as (
            update @schema.adjourn_jobs j set
                ready_at = case when j.hold = @behind then now() else j.ready_at end,
                hold = case when j.unknown_since is not null then @unknown when j.doubts >= @apart_from then @apart else @ready end
            where j.id = any(v_heads) returning j.id, j.special
        )
        select v_special || array_agg(id) filter (where special) into v_special from headed;
        -- If another transaction has locked the head, the next round decides.
        v_undecided := array(select j.id from @schema.adjourn_jobs j where j.id = any(v_better) and j.hold + 0 = @unplaced);
    end if;

    -- 3. The others wait.
    update @schema.adjourn_jobs j set hold = @behind
    where j.id = any(v_new) and j.hold + 0 = @unplaced and j.id <> all(coalesce(v_undecided, '{}'));
    placed := cardinality(v_new) - coalesce(cardinality(v_undecided), 0);
    waiting := waiting + coalesce(cardinality(v_undecided), 0);
    if v_special is not null then
        perform @schema.adjourn_gate_v1(v_special);
    end if;
    if exists (select from @schema.adjourn_open_limits) or exists (select from @schema.adjourn_due_rates d where d.at <= now()) then
        promoted := promoted + @schema.adjourn_place_limits_v1();
    end if;
    if promoted > 0 then
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    if exists (select from @schema.adjourn_arrivals) then
        promoted := promoted + @schema.adjourn_arrive_v1();
    end if;
    is_left := waiting > 0 or exists (select from @schema.adjourn_open_limits) or exists (select from @schema.adjourn_arrivals);
    return next;
end $$;
