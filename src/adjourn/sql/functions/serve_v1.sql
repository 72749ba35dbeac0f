-- Give places under limits to the best jobs that wait for them: one row of the arrays is a limit, the key there, and the place, which is
-- null for a limit that is a rate alone. The caller knows that nobody else gives these places: it holds the placing key.
--   A job that a key's limit admits gets its turn behind all jobs that this limit has admitted, so that keys take turns; but not
--   further than @turn_window places behind the first job of its queue that has no limit, so that these do not keep it waiting.
--   A job whose task not all workers know waits, with its places, for one that does.
-- Returns the ids of jobs that are ready now.
create function @schema.adjourn_serve_v1(p_limit_ids integer[], p_keys text[], p_slots bigint[]) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_ids bigint[];
    v_slots bigint[];
    v_scopes text[];
    v_turns bigint[];
    v_limits integer[];
    v_own_limits integer[];
    v_tasks text[];
    v_queues text[];
    v_unknown bigint[];
begin
    with asked as materialized (
        select u.limit_id, u.key, array_agg(u.slot order by u.slot) as slots
        from unnest(p_limit_ids, p_keys, p_slots) u(limit_id, key, slot) group by u.limit_id, u.key
    ), best as materialized (
        select candidate.id, candidate.priority, candidate.queue, candidate.task_name, candidate.own_limit, candidate.is_unknown, asked.limit_id, asked.key, asked.slots[candidate.place] as slot
        from asked cross join lateral (
            select locked.*, row_number() over () as place from (
                select j.id, j.priority, j.queue, j.task_name, j.limit_id as own_limit, j.unknown_since is not null as is_unknown from @schema.adjourn_jobs j
                where j.hold = @gate and j.gate_id = asked.limit_id and j.gate_key = asked.key
                order by j.priority desc, coalesce(j.turn, j.id) limit cardinality(asked.slots) for update skip locked
            ) locked
        ) candidate
    ), missed as (
        -- Other transactions have locked jobs that could have had these places.
        insert into @schema.adjourn_open_limits (limit_id, limit_key)
        select asked.limit_id, asked.key from asked left join (
            select best.limit_id, best.key, count(*) as number, array_agg(best.id) as ids from best group by best.limit_id, best.key
        ) taken on taken.limit_id = asked.limit_id and taken.key = asked.key
        where cardinality(asked.slots) > coalesce(taken.number, 0) and exists (
            select from @schema.adjourn_jobs j
            where j.hold = @gate and j.gate_id = asked.limit_id and j.gate_key = asked.key and j.id <> all(coalesce(taken.ids, '{}'))
            offset 0
        )
    ), last as materialized (
        select l.id, (
            select coalesce(j.turn, j.id) from @schema.adjourn_jobs j
            where j.limit_id + 0 = l.id and j.key_slot + 0 is not null order by coalesce(j.turn, j.id) desc limit 1
        ) as turn
        from @schema.adjourn_limits l where l.scope = 'key' and l.id in (select best.limit_id from best)
    ), first as materialized (
        select line.queue, line.priority, (
            select min(seen.turn) from (
                select coalesce(j.turn, j.id) as turn, j.special from @schema.adjourn_jobs j
                where j.hold = @ready and j.worker_id is null and j.queue between line.queue and line.queue and j.priority = line.priority
                order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit @turn_window
            ) seen where seen.special is null
        ) as turn
        from (select distinct best.queue, best.priority from best where exists (select from last where last.turn is not null)) line
    )
    select array_agg(best.id), array_agg(coalesce(best.slot, -best.id)), array_agg(l.scope), array_agg(
        case when l.scope <> 'key' or last.turn is null then null
             else greatest(best.id, least(last.turn + 1, first.turn + @turn_window)) end
    ), array_agg(best.limit_id), array_agg(best.own_limit), array_agg(best.task_name), array_agg(best.queue),
       array_agg(best.id) filter (where best.is_unknown)
    into v_ids, v_slots, v_scopes, v_turns, v_limits, v_own_limits, v_tasks, v_queues, v_unknown
    from best join @schema.adjourn_limits l on l.id = best.limit_id
    left join last on last.id = best.limit_id
    left join first on first.queue = best.queue and first.priority = best.priority;
    if v_ids is null then
        return '{}';
    end if;
    -- From arrays the planner expects few rows, and finds each by its id.
    update @schema.adjourn_jobs j set
        ready_at = now(), hold = case when j.doubts >= @apart_from then @apart else @ready end, gate_id = null, gate_key = null,
        key_slot = case when u.scope = 'key' then u.slot else j.key_slot end,
        task_slot = case when u.scope = 'task' then u.slot else j.task_slot end,
        queue_slot = case when u.scope = 'queue' then u.slot else j.queue_slot end,
        turn = case when u.scope = 'key' then u.turn else j.turn end
    from unnest(v_ids, v_slots, v_scopes, v_turns) u(id, slot, scope, turn) where j.id between u.id and u.id;
    if v_unknown is null and not exists (select from @schema.adjourn_pauses) and not exists (
        select from (
            select distinct * from unnest(v_limits, v_own_limits, v_tasks, v_queues) u(limit_id, own_limit, task_name, queue)
        ) kind join @schema.adjourn_limits l on l.id <> kind.limit_id and (l.concurrency is not null or l.rates is not null) and (
            l.id = kind.own_limit or l.scope = 'task' and l.name = kind.task_name or l.scope = 'queue' and l.name = kind.queue
        )
    ) then
        -- No other limit concerns them.
        return v_ids;
    end if;
    perform @schema.adjourn_gate_v1(v_ids);
    if v_unknown is not null then
        update @schema.adjourn_jobs j set hold = @unknown where j.id = any(v_unknown) and j.hold + 0 in (@ready, @apart);
    end if;
    return array(select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold in (@ready, @apart, @unknown));
end $$;
