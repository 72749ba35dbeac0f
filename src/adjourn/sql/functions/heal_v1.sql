-- Look for what statements of other programs, and clocks that were set back, may have left, a kind a function: what was paused and may go on, and
-- heartbeats to come, at once; locks, keys of limits, and starts under rates in pages of p_limit. What needs it gets a note for the worker that
-- places jobs. No job is locked that need not change, and one session at a time does this.
--   p_from: null begins, and rest is what to pass for the next page, with a field for each kind that has one; it is null if none has. While
--   another session does this, it is p_from.
-- Returns how many notes there are for the worker that places.
create function @schema.adjourn_heal_v1(p_from jsonb, p_limit integer) returns table (noted integer, rest jsonb)
language plpgsql
set lock_timeout = '200ms' set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_from jsonb := coalesce(p_from, jsonb_build_object(
        'lock', '', 'limit', jsonb_build_array(0, ''), 'start', jsonb_build_array(0, '', '-infinity')
    ));
    v_page record;
begin
    noted := 0;
    rest := p_from;
    if not pg_try_advisory_xact_lock(@healing_key) then
        return next;
        return;
    end if;
    if p_from is null then
        noted := @schema.adjourn_heal_pauses_v1();
        perform @schema.adjourn_heal_heartbeats_v1();
    end if;
    rest := '{}';
    if v_from -> 'lock' is not null then
        v_page := @schema.adjourn_heal_locks_v1(v_from ->> 'lock', p_limit);
        noted := noted + v_page.noted;
        rest := rest || jsonb_build_object('lock', v_page.following);
    end if;
    if v_from -> 'limit' is not null then
        v_page := @schema.adjourn_heal_limits_v1((v_from #>> '{limit, 0}')::integer, v_from #>> '{limit, 1}', p_limit);
        noted := noted + v_page.noted;
        rest := rest || jsonb_build_object('limit', v_page.following);
    end if;
    if v_from -> 'start' is not null then
        rest := rest || jsonb_build_object('start', @schema.adjourn_heal_starts_v1(
            (v_from #>> '{start, 0}')::integer, v_from #>> '{start, 1}', (v_from #>> '{start, 2}')::timestamptz, p_limit
        ));
    end if;
    rest := nullif(jsonb_strip_nulls(rest), '{}');
    return next;
end $$;
