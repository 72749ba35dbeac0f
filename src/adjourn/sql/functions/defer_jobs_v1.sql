-- Store new jobs and return their ids, in the order given.
--   p_schedule_in: seconds from now until a job is due; wins over p_scheduled_at. Null for no delays.
--   p_own_transaction: the caller commits later. A worker may fall asleep meanwhile, so notify in any case.
create function @schema.adjourn_defer_jobs_v1(
    p_queues text[], p_task_names text[], p_priorities integer[], p_locks text[], p_queueing_locks text[], p_args jsonb[],
    p_scheduled_at timestamptz[], p_schedule_in double precision[], p_own_transaction boolean
) returns setof bigint
language plpgsql as $$
begin
    if p_schedule_in is not null then
        p_scheduled_at := array(
            select coalesce(now() + make_interval(secs => u.seconds), u.at)
            from unnest(p_scheduled_at, p_schedule_in) with ordinality u(at, seconds, position) order by u.position
        );
    end if;
    if exists (select from unnest(p_queueing_locks) q where q is not null) and cardinality(p_queueing_locks) > 1 then
        -- Two batches with the same queueing locks must insert them in the same order, or they may wait for each other.
        return query
        with new as materialized (
            select nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) as id, u.*
            from unnest(p_queues, p_task_names, p_priorities, p_locks, p_queueing_locks, p_args, p_scheduled_at)
                with ordinality u(queue, task_name, priority, lock, queueing_lock, args, scheduled_at, position)
        ), stored as (
            insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, scheduled_at, hold)
            select n.id, n.queue, n.task_name, n.priority, n.lock, n.queueing_lock, n.queueing_lock, n.args, n.scheduled_at,
                   case when n.scheduled_at > now() then @scheduled when n.lock is not null then @unplaced else @ready end
            from new n order by n.queueing_lock
        )
        select n.id from new n order by n.position;
    else
        return query
        insert into @schema.adjourn_jobs (queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, scheduled_at, hold)
        select u.queue, u.task_name, u.priority, u.lock, u.queueing_lock, u.queueing_lock, u.args, u.scheduled_at,
               case when u.scheduled_at > now() then @scheduled when u.lock is not null then @unplaced else @ready end
        from unnest(p_queues, p_task_names, p_priorities, p_locks, p_queueing_locks, p_args, p_scheduled_at)
            u(queue, task_name, priority, lock, queueing_lock, args, scheduled_at)
        returning adjourn_jobs.id;
    end if;
    perform @schema.adjourn_wake_v1(p_own_transaction, null);
end $$;
