-- Jobs have given up places under limits: those of p_jobs, as they were, that have ended or do not hold them any more. Hand each place to the next
-- job, key before task before queue, so that who gets a place of its key can get one of its queue as well. A place above a limit that was
-- lowered is not given again, and no other is while such a one is held. p_is_callers: leave notes instead.
-- Returns the ids of jobs that are ready because of it.
create function @schema.adjourn_free_slots_v1(p_jobs @schema.adjourn_jobs[], p_is_callers boolean) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_ids integer[];
    v_keys text[];
    v_slots bigint[];
    v_direct boolean[];
    v_has boolean[];
    v_ready bigint[] := '{}';
begin
    select array[bool_or(j.key_slot is not null), bool_or(j.task_slot is not null), bool_or(j.queue_slot is not null)] into v_has
    from unnest(p_jobs) j;
    if not p_is_callers then
        -- The next statement sees what was placed before.
        perform pg_advisory_xact_lock_shared(@placing_key);
    end if;
    for v_scope in 1 .. 3 loop
        continue when v_has[v_scope] is not true;
        with freed as materialized (
            select l.id, l.name, l.concurrency, l.rates, given.key, given.slot from (
                select case v_scope when 1 then j.key_slot when 2 then j.task_slot else j.queue_slot end as slot,
                       case v_scope when 1 then j.limit_key else '' end as key, j.limit_id, j.task_name, j.queue, j.worker_id
                from unnest(p_jobs) j left join @schema.adjourn_jobs n on n.id between j.id and j.id
                where case v_scope when 1 then n.key_slot when 2 then n.task_slot else n.queue_slot end is null
            ) given join @schema.adjourn_limits l on case v_scope
                when 1 then l.id = given.limit_id when 2 then l.scope = 'task' and l.name = given.task_name
                else l.scope = 'queue' and l.name = given.queue end
            -- A job that has started under rates alone counts as long as they say, whatever becomes of it.
            where given.slot is not null and (l.concurrency is not null or l.rates is not null and given.worker_id is null)
        ), known as materialized (
            -- Only the worker that places knows what a rate allows, and how many jobs run beyond a limit that was lowered.
            select l.id, l.key, not p_is_callers and l.rates is null and not case v_scope
                when 1 then exists (
                    select from @schema.adjourn_jobs j where j.limit_id = l.id and j.limit_key = l.key and j.key_slot >= l.concurrency
                )
                when 2 then exists (select from @schema.adjourn_jobs j where j.task_name = l.name and j.task_slot >= l.concurrency)
                else exists (select from @schema.adjourn_jobs j where j.queue = l.name and j.queue_slot >= l.concurrency) end as is_direct
            from (select distinct freed.id, freed.name, freed.concurrency, freed.rates, freed.key from freed) l
        )
        select array_agg(freed.id), array_agg(freed.key), array_agg(freed.slot),
               array_agg(known.is_direct and freed.slot between 0 and freed.concurrency - 1)
        into v_ids, v_keys, v_slots, v_direct from freed join known on known.id = freed.id and known.key = freed.key;
        continue when v_ids is null;
        insert into @schema.adjourn_open_limits (limit_id, limit_key)
        select distinct u.id, u.key from unnest(v_ids, v_keys, v_direct) u(id, key, direct) where not u.direct;
        select array_agg(u.id), array_agg(u.key), array_agg(u.slot) into v_ids, v_keys, v_slots
        from unnest(v_ids, v_keys, v_slots, v_direct) u(id, key, slot, direct) where u.direct;
        if v_ids is not null then
            v_ready := v_ready || @schema.adjourn_serve_v1(v_ids, v_keys, v_slots);
        end if;
    end loop;
    return v_ready;
end $$;
