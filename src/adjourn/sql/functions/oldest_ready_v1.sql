-- Since when the oldest job of each of these queues (null: all) and priorities could have run that does not, among the first of each; those
-- of p_paused_tasks do not count. At most p_pairs queues and priorities, found from one to the next in the index.
create function @schema.adjourn_oldest_ready_v1(p_queues text[], p_paused_tasks text[], p_pairs integer)
returns table (queue text, id bigint, since timestamptz)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
    v_pair record;
    v_first record;
    v_near integer;
begin
    for v_pair in
        with recursive stored as (
            (select j.queue from @schema.adjourn_jobs j where p_queues is null and j.hold = @ready order by j.queue limit 1)
            union all
            select next.queue from stored cross join lateral (
                select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > stored.queue order by j.queue limit 1
            ) next
        ), pair as (
            select wanted.queue, first.priority
            from (select stored.queue from stored union all select distinct unnest(p_queues) limit p_pairs) wanted
            cross join lateral (
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
        select pair.queue, pair.priority from pair limit p_pairs
    loop
        -- Jobs are in the order in which they were stored. One that was run again, or was due later, could run only since then, and would
        -- hide those behind it that have waited for longer: if the first is such a job, the oldest of the first 100 counts.
        foreach v_near in array array[1, 100] loop
            select near.id, near.since, near.is_later into v_first from (
                select few.id, greatest(few.enqueued_at, few.scheduled_at, few.ready_at) as since,
                       num_nonnulls(few.scheduled_at, few.ready_at) > 0 as is_later
                from (
                    -- Those that run stay in the index, before the first that does not.
                    select j.id, j.task_name, j.worker_id, j.enqueued_at, j.scheduled_at, j.ready_at from @schema.adjourn_jobs j
                    where j.hold = @ready and j.queue >= v_pair.queue and j.queue <= v_pair.queue and j.priority = v_pair.priority
                    order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 10000
                ) few
                where few.worker_id is null and few.task_name <> all(p_paused_tasks) limit v_near
            ) near order by near.since limit 1;
            exit when v_first.id is null or not v_first.is_later;
        end loop;
        if v_first.id is not null then
            queue := v_pair.queue;
            id := v_first.id;
            since := v_first.since;
            return next;
        end if;
    end loop;
end $$;
