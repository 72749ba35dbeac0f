-- For how many seconds the oldest job of these queues (null: all) could have run that does not, for what decides how many workers there
-- are; 0 if there is none, never null. Jobs of paused queues and tasks and those behind others of their lock do not count; those that are
-- due, and those with a free lock, do, although only a worker makes them ready.
create function @schema.adjourn_latency_v1(p_queues text[] default null) returns double precision
language plpgsql stable
set plan_cache_mode = force_generic_plan set jit = off as $$
declare
    v_paused text[];
    v_paused_tasks text[];
    v_since timestamptz;
begin
    select coalesce(array_agg(p.name) filter (where p.scope = 'queue'), '{}'), coalesce(array_agg(p.name) filter (where p.scope = 'task'), '{}')
    into v_paused, v_paused_tasks
    from @schema.adjourn_pauses p where p.ends_at is null or p.ends_at > now();
    select min(waits.since) into v_since from (
        select ready.since from @schema.adjourn_oldest_ready_v1(p_queues, v_paused_tasks, 1000) ready where ready.queue <> all(v_paused)
        union all
        select unready.since from @schema.adjourn_oldest_unready_v1(p_queues, v_paused, v_paused_tasks) unready
    ) waits;
    return coalesce(greatest(extract(epoch from now() - v_since), 0), 0);
end $$;
