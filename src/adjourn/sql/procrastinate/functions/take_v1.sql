-- Take jobs over from Procrastinate: store them here and delete them there, and return how many. Those that are not `todo`
-- were running, and their workers are gone: that attempt counts, and a request to abort ends them.
--   p_keep_queueing_locks: false gives the queueing locks up, because another transaction has just taken one of them.
create or replace function @schema.adjourn_procrastinate_take_v1(p_ids bigint[], p_keep_queueing_locks boolean) returns integer
language plpgsql set search_path = pg_catalog, @theirs, pg_temp as $$
declare
    v_taken integer;
    v_locks text[];
    v_queues text[];
    v_scheduled boolean;
begin
    if exists (select from @schema.adjourn_procrastinate p where p.map_ids) then
        insert into @schema.adjourn_migrated_ids (old_id, new_id)
        select id, nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) from unnest(p_ids) id
        on conflict (old_id) do nothing;
    end if;
    if exists (select from @schema.adjourn_procrastinate p where p.history_bookmark is not null or p.history_high > 0) then
        -- A job that had ended, and was retried, may have been copied.
        delete from @schema.adjourn_finished_jobs f where f.id = any(array(
            select coalesce(m.new_id, u.id) from unnest(p_ids) u(id) left join @schema.adjourn_migrated_ids m on m.old_id = u.id
        ));
    end if;
    -- The trigger of what is stored here leaves these alone.
    perform set_config('adjourn.taking', 'on', true);
    with gone as (
        delete from @theirs.procrastinate_jobs j where j.id = any(p_ids) and j.status in (@live)
        returning j.id, j.queue_name, j.task_name, j.priority, j.lock, j.queueing_lock, j.args, j.scheduled_at, j.attempts,
                  j.status <> 'todo' as was_lost, @abort_requested as abort_requested
    ), known as (
        select coalesce(m.new_id, g.id) as new_id, g.*, coalesce(e.deferred_at, now()) as enqueued_at,
               g.attempts + g.was_lost::integer as ended,
               case when g.was_lost then jsonb_build_array(jsonb_build_object(
                   'exception', 'WorkerLost', 'message', 'taken over from Procrastinate, whose worker was lost',
                   'attempt', g.attempts + 1, 'started_at', e.started_at, 'ended_at', now()
               )) end as errors, e.started_at
        from gone g
        left join @schema.adjourn_migrated_ids m on m.old_id = g.id
        left join lateral (
            select min(v.at) filter (where v.type = 'deferred') as deferred_at, max(v.at) filter (where v.type = 'started') as started_at
            from @theirs.procrastinate_events v where v.job_id = g.id
        ) e on true
    ), waiting as (
        insert into @schema.adjourn_jobs (
            id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, scheduled_at, hold, attempts, enqueued_at,
            errors
        )
        select k.new_id, k.queue_name, k.task_name, k.priority, k.lock, k.queueing_lock,
               case when p_keep_queueing_locks and not k.was_lost and not exists (
                   select from @schema.adjourn_jobs w where w.waiting_queueing_lock = k.queueing_lock
               ) then k.queueing_lock end,
               k.args, k.scheduled_at,
               case when k.scheduled_at > now() then @scheduled when k.lock is not null then @unplaced else @ready end,
               k.ended, k.enqueued_at, k.errors
        from known k where not (k.was_lost and k.abort_requested) order by k.new_id
        returning queue, lock, hold
    ), aborted as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, abort_requested, enqueued_at,
            started_at, errors, status, finished_at
        )
        select k.new_id, k.queue_name, k.task_name, k.priority, k.lock, k.queueing_lock, k.args, k.scheduled_at, k.ended, 0, 0, true,
               k.enqueued_at, k.started_at, k.errors, 'aborted', now()
        from known k where k.was_lost and k.abort_requested
    )
    select (select count(*) from gone), array_agg(w.queue) filter (where w.hold <> @scheduled), array_agg(distinct w.lock),
           coalesce(bool_or(w.hold = @scheduled), false)
    into v_taken, v_queues, v_locks, v_scheduled from waiting w;
    perform set_config('adjourn.taking', '', true);
    update @schema.adjourn_jobs j set hold = case when j.scheduled_at > now() then @scheduled else @unplaced end
    where j.id = any(array(
        select h.id from @schema.adjourn_jobs h where h.hold = @held and h.lock = any(v_locks) for update skip locked
    ));
    if v_scheduled then
        perform @schema.adjourn_wake_v1(false, null);
    elsif v_queues is not null then
        perform @schema.adjourn_wake_for_v1(v_queues, null);
    end if;
    return v_taken;
end $$;
