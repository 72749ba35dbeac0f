-- Look for what statements of other programs may have left, in pages: the next p_limit locks behind which jobs wait, keys of limits for whose places
-- jobs wait, and starts under rates. A lock without a head, and a key with a free place, get a note for the worker that places jobs. What is
-- paused and the workers are looked at with the first page. No job is locked that need not change, and one session at a time does this.
--   p_from: null begins, and rest is what to pass for the next page; it is null if there is none. While another session does this, it is p_from.
-- Returns how many notes there are for the worker that places.
create function @schema.adjourn_heal_v1(p_from jsonb, p_limit integer) returns table (noted integer, rest jsonb)
language plpgsql
set lock_timeout = '200ms' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_from jsonb := coalesce(p_from, jsonb_build_object(
        'lock', '', 'limit', jsonb_build_array(0, ''), 'start', jsonb_build_array(0, '', '-infinity')
    ));
    v_locks text[];
    v_ids integer[];
    v_keys text[];
    v_last jsonb;
begin
    noted := 0;
    if not pg_try_advisory_xact_lock(@healing_key) then
        rest := p_from;
        return next;
        return;
    end if;
    rest := '{}';
    if p_from is null then
        noted := @schema.adjourn_heal_pauses_v1();
        -- The clock was set back since the last heartbeat of these. Those that live send the next one soon.
        update @schema.adjourn_workers set last_heartbeat_at = now(), expires_at = now() + (expires_at - last_heartbeat_at)
        where id = any(array(
            select w.id from @schema.adjourn_workers w where not w.dead and w.last_heartbeat_at > clock_timestamp() order by w.id for update skip locked
        ));
    end if;
    if v_from -> 'lock' is not null then
        v_locks := array(
            with recursive chain(lock) as (
                (select j.lock from @schema.adjourn_jobs j
                 where j.hold in (@behind, @unplaced) and j.lock >= v_from ->> 'lock' order by j.lock limit 1)
                union all
                select (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock > chain.lock order by j.lock limit 1)
                from chain where chain.lock is not null
            )
            select chain.lock from chain where chain.lock is not null limit p_limit + 1
        );
        if cardinality(v_locks) > p_limit then
            rest := rest || jsonb_build_object('lock', v_locks[p_limit + 1]);
        end if;
        v_locks := array(
            select u from unnest(v_locks[1 : p_limit]) u
            where not exists (select from @schema.adjourn_jobs h where h.hold in (@heads) and h.lock = u offset 0)
        );
        insert into @schema.adjourn_headless_locks (lock, followers)
        select u, nullif(array(
            select j.id from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock = u and j.worker_id is not null
        ), '{}') from unnest(v_locks) u;
        noted := noted + cardinality(v_locks);
    end if;
    if v_from -> 'limit' is not null then
        with recursive waiting(id, key) as (
            (
                select j.gate_id, j.gate_key from @schema.adjourn_jobs j
                where j.hold = @gate and (j.gate_id, j.gate_key) >= ((v_from #>> '{limit, 0}')::integer, v_from #>> '{limit, 1}')
                order by j.gate_id, j.gate_key limit 1
            )
            union all
            select next.gate_id, next.gate_key from waiting cross join lateral (
                select j.gate_id, j.gate_key from @schema.adjourn_jobs j
                where j.hold = @gate and (j.gate_id, j.gate_key) > (waiting.id, waiting.key) order by j.gate_id, j.gate_key limit 1
            ) next
        )
        select array_agg(page.id), array_agg(page.key) into v_ids, v_keys from (select waiting.id, waiting.key from waiting limit p_limit + 1) page;
        if cardinality(v_ids) > p_limit then
            rest := rest || jsonb_build_object('limit', jsonb_build_array(v_ids[p_limit + 1], v_keys[p_limit + 1]));
        end if;
        noted := noted + @schema.adjourn_heal_keys_v1(v_ids[1 : p_limit], v_keys[1 : p_limit]);
    end if;
    if v_from -> 'start' is not null then
        -- Those that no rate asks for any more.
        with page as materialized (
            select s.ctid as place, s.limit_id, s.limit_key, s.at from @schema.adjourn_starts s
            where (s.limit_id, s.limit_key, s.at)
                >= ((v_from #>> '{start, 0}')::integer, v_from #>> '{start, 1}', (v_from #>> '{start, 2}')::timestamptz)
            order by s.limit_id, s.limit_key, s.at limit p_limit + 1
        ), period as materialized (
            select l.id, max((rate ->> 1)::double precision) as seconds
            from @schema.adjourn_limits l cross join jsonb_array_elements(l.rates) rate group by l.id
        ), over as materialized (
            select s.ctid as place from @schema.adjourn_starts s
            where s.ctid = any(array(
                select page.place from page left join period on period.id = page.limit_id
                where page.at < now() - make_interval(secs => coalesce(period.seconds, 0))
            )) for update skip locked
        ), gone as (
            delete from @schema.adjourn_starts s where s.ctid = any(array(select over.place from over))
        )
        select jsonb_build_array(page.limit_id, page.limit_key, page.at) into v_last from page offset p_limit;
        if v_last is not null and v_last <> v_from -> 'start' then
            rest := rest || jsonb_build_object('start', v_last);
        end if;
    end if;
    rest := nullif(rest, '{}');
    return next;
end $$;
