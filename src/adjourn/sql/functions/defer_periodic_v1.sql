-- Defer the job of one tick, unless that tick or a later one was deferred already: record the tick and store the job, or
-- do neither.
-- Returns whether the tick was new, and the job's id, which is null if its queueing lock was taken.
create function @schema.adjourn_defer_periodic_v1(
    p_periodic_id text, p_cron text, p_timezone text, p_tick timestamptz,
    p_queue text, p_task_name text, p_priority integer, p_lock text, p_queueing_lock text, p_args jsonb
) returns table (is_new boolean, job_id bigint)
language plpgsql as $$
begin
    insert into @schema.adjourn_schedules as s (task_name, periodic_id, cron, timezone, last_tick)
    values (p_task_name, p_periodic_id, p_cron, p_timezone, p_tick)
    on conflict (task_name, periodic_id) do update
    set last_tick = excluded.last_tick, cron = excluded.cron, timezone = excluded.timezone, seen_at = now()
    where s.last_tick < excluded.last_tick;
    is_new := found;
    if is_new then
        insert into @schema.adjourn_jobs (queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, hold)
        values (p_queue, p_task_name, p_priority, p_lock, p_queueing_lock, p_queueing_lock, p_args,
                case when p_lock is not null then @unplaced else @ready end)
        on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing
        returning id into job_id;
        update @schema.adjourn_schedules s set last_job_id = coalesce(adjourn_defer_periodic_v1.job_id, s.last_job_id)
        where s.task_name = p_task_name and s.periodic_id = p_periodic_id;
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    return next;
end $$;
