-- For how many seconds the oldest job of these queues (null: all) could have run that does not, for what decides how many workers there
-- are; 0 if there is none, never null. Jobs of paused queues and tasks and those behind others of their lock do not count; those that are
-- due, and those with a free lock, do, although only a worker makes them ready. Of each queue and priority the first is looked for.
create function @schema.adjourn_latency_v1(p_queues text[] default null) returns double precision
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
    v_pairs record;
    v_paused text[];
    v_paused_tasks text[];
    v_since timestamptz;
begin
    select coalesce(array_agg(p.name) filter (where p.scope = 'queue'), '{}'), coalesce(array_agg(p.name) filter (where p.scope = 'task'), '{}')
    into v_paused, v_paused_tasks
    from @schema.adjourn_pauses p where p.ends_at is null or p.ends_at > now();
    if p_queues is null then
        -- Found from one to the next in the index.
        with recursive pair as (
            (select j.queue, j.priority from @schema.adjourn_jobs j where j.hold = @ready order by j.queue, j.priority desc limit 1)
            union all
            select next.queue, next.priority from pair cross join lateral (
                (select j.queue, j.priority from @schema.adjourn_jobs j
                 where j.hold = @ready and j.queue >= pair.queue and j.queue <= pair.queue and j.priority < pair.priority
                 order by j.queue, j.priority desc limit 1)
                union all
                (select j.queue, j.priority from @schema.adjourn_jobs j where j.hold = @ready and j.queue > pair.queue
                 order by j.queue, j.priority desc limit 1)
                limit 1
            ) next
        )
        select array_agg(few.queue) as queues, array_agg(few.priority) as priorities into v_pairs
        from (select * from pair limit 1000) few;
    else
        with recursive pair as (
            select wanted.queue, first.priority from (select distinct unnest(p_queues) as queue) wanted cross join lateral (
                select j.priority from @schema.adjourn_jobs j
                where j.hold = @ready and j.queue >= wanted.queue and j.queue <= wanted.queue order by j.queue, j.priority desc limit 1
            ) first
            union all
            select pair.queue, next.priority from pair cross join lateral (
                select j.priority from @schema.adjourn_jobs j
                where j.hold = @ready and j.queue >= pair.queue and j.queue <= pair.queue and j.priority < pair.priority
                order by j.queue, j.priority desc limit 1
            ) next
        )
        select array_agg(few.queue) as queues, array_agg(few.priority) as priorities into v_pairs
        from (select * from pair limit 1000) few;
    end if;
    select min(late.since) into v_since from (
        select each.since
        from unnest(v_pairs.queues, v_pairs.priorities) pair(queue, priority) cross join lateral (
            -- Those that run stay in the index, before the first that does not.
            select greatest(few.enqueued_at, few.scheduled_at, few.ready_at) as since, num_nonnulls(few.scheduled_at, few.ready_at) > 0 as is_later
            from (
                select j.worker_id, j.task_name, j.enqueued_at, j.scheduled_at, j.ready_at from @schema.adjourn_jobs j
                where j.hold = @ready and j.queue >= pair.queue and j.queue <= pair.queue and j.priority = pair.priority
                order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 10000
            ) few
            where few.worker_id is null and few.task_name <> all(v_paused_tasks) limit 1
        ) first
        cross join lateral (
            select first.since
            union all
            -- One that was run again, or was due later, may hide some behind it that have waited for longer: see monitor/latency.sql.
            select min(greatest(near.enqueued_at, near.scheduled_at, near.ready_at)) from (
                select next.enqueued_at, next.scheduled_at, next.ready_at from (
                    select j.worker_id, j.task_name, j.enqueued_at, j.scheduled_at, j.ready_at from @schema.adjourn_jobs j
                    where j.hold = @ready and j.queue >= pair.queue and j.queue <= pair.queue and j.priority = pair.priority
                    order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 10000
                ) next
                where next.worker_id is null and next.task_name <> all(v_paused_tasks) limit 100
            ) near
            where first.is_later
        ) each
        where pair.queue <> all(v_paused)
        union all
        select few.scheduled_at from (
            select j.queue, j.task_name, j.scheduled_at from @schema.adjourn_jobs j
            where j.hold = @scheduled and j.scheduled_at <= now() order by j.scheduled_at limit 1000
        ) few
        where (p_queues is null or few.queue = any(p_queues)) and few.queue <> all(v_paused) and few.task_name <> all(v_paused_tasks)
        union all
        select greatest(few.enqueued_at, few.scheduled_at, few.ready_at)
        from (select j.* from @schema.adjourn_jobs j where j.hold = @unplaced order by j.id limit 1000) few
        where (p_queues is null or few.queue = any(p_queues)) and few.queue <> all(v_paused) and few.task_name <> all(v_paused_tasks)
          and coalesce(few.scheduled_at <= now(), true)
          and not exists (select from @schema.adjourn_jobs head where head.lock = few.lock and head.lock is not null and head.hold in (@heads))
    ) late;
    return coalesce(greatest(extract(epoch from now() - v_since), 0), 0);
end $$;
