-- Store new jobs, all or none, and return their ids, in the order given. If a queueing lock is taken, none is stored, and
-- one row without an id names the lock in `taken`: an error would end the transaction of a caller who can go on.
--   p_schedule_in: seconds from now until a job is due; wins over p_scheduled_at. Null for no delays.
--   p_headers: null if no job has any.
--   p_own_transaction: the caller commits later. A worker may fall asleep meanwhile, so notify in any case.
create function @schema.adjourn_defer_jobs_v1(
    p_queues text[], p_task_names text[], p_priorities integer[], p_locks text[], p_queueing_locks text[], p_args jsonb[],
    p_headers jsonb[], p_scheduled_at timestamptz[], p_schedule_in double precision[], p_own_transaction boolean
) returns table (id bigint, taken text)
language plpgsql as $$
#variable_conflict use_column
declare
    v_ids bigint[];
    v_stored integer;
    v_taken text;
begin
    if p_schedule_in is not null then
        p_scheduled_at := array(
            select coalesce(now() + make_interval(secs => u.seconds), u.at)
            from unnest(p_scheduled_at, p_schedule_in) with ordinality u(at, seconds, position) order by u.position
        );
    end if;
    if exists (select from unnest(p_queueing_locks) q where q is not null) then
        v_ids := array(
            select nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) from generate_series(1, cardinality(p_queues))
        );
        if cardinality(v_ids) = 1 then
            insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, hold)
            values (v_ids[1], p_queues[1], p_task_names[1], p_priorities[1], p_locks[1], p_queueing_locks[1], p_queueing_locks[1], p_args[1],
                    p_headers[1], p_scheduled_at[1],
                    case when p_scheduled_at[1] > now() then @scheduled when p_locks[1] is not null then @unplaced else @ready end)
            on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing;
            if not found then
                return query select null::bigint, p_queueing_locks[1];
                return;
            end if;
        else
            -- A block with a handler takes back what it has stored. Deleting it would need a right that who defers jobs need not
            -- have.
            begin
                -- Two batches with the same queueing locks must insert them in the same order, or they may wait for each other.
                insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, hold)
                select u.id, u.queue, u.task_name, u.priority, u.lock, u.queueing_lock, u.queueing_lock, u.args, u.headers, u.scheduled_at,
                       case when u.scheduled_at > now() then @scheduled when u.lock is not null then @unplaced else @ready end
                from unnest(v_ids, p_queues, p_task_names, p_priorities, p_locks, p_queueing_locks, p_args, p_headers, p_scheduled_at)
                    u(id, queue, task_name, priority, lock, queueing_lock, args, headers, scheduled_at)
                order by u.queueing_lock
                on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing;
                get diagnostics v_stored = row_count;
                if v_stored < cardinality(v_ids) then
                    v_taken := (
                        select u.queueing_lock from unnest(v_ids, p_queueing_locks) u(id, queueing_lock)
                        where not exists (select from @schema.adjourn_jobs j where j.id = u.id) limit 1
                    );
                    raise exception using errcode = 'ADJ01';
                end if;
            exception when sqlstate 'ADJ01' then
                return query select null::bigint, v_taken;
                return;
            end;
        end if;
        return query select u.id, null::text from unnest(v_ids) with ordinality u(id, position) order by u.position;
    else
        return query
        insert into @schema.adjourn_jobs (queue, task_name, priority, lock, args, headers, scheduled_at, hold)
        select u.queue, u.task_name, u.priority, u.lock, u.args, u.headers, u.scheduled_at,
               case when u.scheduled_at > now() then @scheduled when u.lock is not null then @unplaced else @ready end
        from unnest(p_queues, p_task_names, p_priorities, p_locks, p_args, p_headers, p_scheduled_at)
            u(queue, task_name, priority, lock, args, headers, scheduled_at)
        returning adjourn_jobs.id, null::text;
    end if;
    if p_own_transaction or exists (select from unnest(p_scheduled_at) u(at) where u.at > now()) then
        perform @schema.adjourn_wake_v1(p_own_transaction, null);
    else
        perform @schema.adjourn_wake_for_v1(p_queues, null);
    end if;
end $$;
