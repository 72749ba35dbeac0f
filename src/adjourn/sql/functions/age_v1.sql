-- Jobs of low priority do not wait for ever: raise the priority of ready jobs by one for each p_seconds that they have waited since they could
-- run, up to the highest priority that a ready job has. `aged` of a job says how much of its priority it has got so.
--   p_queues: in which queues, each for itself; null for all together. p_limit: how many jobs of a priority to look at, the first ones.
-- If all ready jobs have the same priority, this writes nothing. Returns how many jobs were raised.
create function @schema.adjourn_age_v1(p_seconds double precision, p_queues text[], p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_queue text;
    v_top integer;
    v_priority bigint;
    v_old bigint[];
    v_raised integer;
    v_sum integer := 0;
begin
    foreach v_queue in array coalesce(p_queues, array[null]::text[]) loop
        v_top := null;
        v_priority := @greatest_integer::bigint + 1;
        for level in 1 .. @most_floors loop
            if v_queue is null then
                v_priority := (
                    select j.priority from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id is null and j.priority < v_priority
                    order by j.priority desc, coalesce(j.turn, j.id) limit 1
                );
            else
                v_priority := (
                    select j.priority from @schema.adjourn_jobs j
                    where j.hold = @ready and j.worker_id is null and j.queue = v_queue and j.priority < v_priority
                    order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 1
                );
            end if;
            exit when v_priority is null;
            if v_top is null then
                v_top := v_priority;
                continue;
            end if;
            if v_queue is null then
                v_old := array(
                    select seen.id from (
                        select j.id, j.aged, greatest(j.enqueued_at, j.scheduled_at, j.ready_at) as since from @schema.adjourn_jobs j
                        where j.hold = @ready and j.worker_id is null and j.priority = v_priority
                        order by j.priority desc, coalesce(j.turn, j.id) limit p_limit
                    ) seen where extract(epoch from now() - seen.since) / p_seconds >= coalesce(seen.aged, 0) + 1
                );
            else
                v_old := array(
                    select seen.id from (
                        select j.id, j.aged, greatest(j.enqueued_at, j.scheduled_at, j.ready_at) as since from @schema.adjourn_jobs j
                        where j.hold = @ready and j.worker_id is null and j.queue = v_queue and j.priority = v_priority
                        order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit p_limit
                    ) seen where extract(epoch from now() - seen.since) / p_seconds >= coalesce(seen.aged, 0) + 1
                );
            end if;
            with old as materialized (
                select j.id, least(
                    v_top - j.priority::bigint,
                    floor(extract(epoch from now() - greatest(j.enqueued_at, j.scheduled_at, j.ready_at)) / p_seconds)::bigint - coalesce(j.aged, 0)
                )::integer as steps
                from @schema.adjourn_jobs j where j.id = any(v_old) and j.hold + 0 = @ready and j.worker_id is null order by j.id for update skip locked
            )
            update @schema.adjourn_jobs j set priority = j.priority + old.steps, aged = coalesce(j.aged, 0) + old.steps
            from old where j.id between old.id and old.id and old.steps > 0;
            get diagnostics v_raised = row_count;
            v_sum := v_sum + v_raised;
        end loop;
    end loop;
    if v_sum > 0 then
        -- While they were locked, workers have passed them over.
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    return v_sum;
end $$;
