-- How much there is to do for workers of these queues (null: all), now or within p_horizon, for what decides how many workers there are:
-- jobs that run, that could run, and that become due; and one more if only a worker can say what comes next. Never null; no more than
-- p_most, and of no kind are more rows read.
create function @schema.adjourn_backlog_v1(
    p_queues text[] default null, p_horizon interval default '1 minute', p_most integer default 10000
) returns bigint
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
declare
    v_until timestamptz := now() + coalesce(p_horizon, '0');
    v_most integer := greatest(coalesce(p_most, 10000), 1);
    v_jobs bigint;
begin
    if p_queues is null then
        select count(*) into v_jobs from (select from @schema.adjourn_jobs j where j.hold = @ready limit v_most) few;
    else
        select count(*) into v_jobs
        from (select distinct unnest(p_queues) as queue) wanted
        cross join lateral (
            -- In this form it is read by queue, and not from all queues.
            select from @schema.adjourn_jobs j
            where j.hold = @ready and j.queue >= wanted.queue and j.queue <= wanted.queue order by j.queue limit v_most
        ) few;
    end if;
    v_jobs := v_jobs
        + (select count(*) from (select j.queue from @schema.adjourn_jobs j where j.hold = @apart limit v_most) few
           where p_queues is null or few.queue = any(p_queues))
        + (select count(*)
           from (select j.queue from @schema.adjourn_jobs j where j.hold = @scheduled and j.scheduled_at <= v_until limit v_most) few
           where p_queues is null or few.queue = any(p_queues));
    -- Jobs that a worker has to place, or knows the task of; and notes that a worker has to read. How many there are says little: of the
    -- jobs of a lock, one runs at a time.
    if v_jobs = 0 and (
        exists (select from (select j.queue from @schema.adjourn_jobs j where j.hold = @unplaced limit v_most) few
                where p_queues is null or few.queue = any(p_queues))
        or exists (select from (select j.queue from @schema.adjourn_jobs j where j.hold = @unknown limit v_most) few
                   where p_queues is null or few.queue = any(p_queues))
        or exists (select from @schema.adjourn_headless_locks)
        or exists (select from @schema.adjourn_arrivals)
        or exists (select from @schema.adjourn_event_notes)
        or exists (select from @schema.adjourn_open_limits)
        or exists (select from @schema.adjourn_due_rates r where r.at <= v_until)
        or exists (select from @schema.adjourn_schedules s where s.next_tick <= v_until and s.paused_at is null)
    ) then
        v_jobs := 1;
    end if;
    return least(v_jobs, v_most);
end $$;
