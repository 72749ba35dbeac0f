-- Store new jobs, all or none, and return their ids, in the order given. If a queueing lock is taken, none is stored, and
-- `taken` names the lock, without ids: an error would end the transaction of a caller who can go on.
--   p_args: a JSON array of arguments, each an object or the text of one.
--   p_columns: a JSON object with the other columns. Each is an array with a value for each job, or one value that all jobs have;
--     without it, or with null, no job has one. A new column needs a variable and a line in each insert here, and its name in
--     `COLUMNS` of _domain/batches.py.
--   schedule_in: seconds from now until a job is due; wins over scheduled_at.
--   p_own_transaction: the caller commits later. A worker may fall asleep meanwhile, so notify in any case.
create function @schema.adjourn_defer_jobs_v1(p_args text, p_columns text, p_own_transaction boolean)
returns table (ids bigint[], taken text)
language plpgsql as $$
#variable_conflict use_column
declare
    v_args text[] := array(select json_array_elements_text(p_args::json));
    v_count integer := cardinality(v_args);
    v_queues text[];
    v_task_names text[];
    v_priorities text[];
    v_locks text[];
    v_queueing_locks text[];
    v_headers text[];
    v_due timestamptz[];
    v_ids bigint[];
    v_stored integer;
    v_taken text;
begin
    select @schema.adjourn_column_v1(c.queue, v_count), @schema.adjourn_column_v1(c.task_name, v_count),
           @schema.adjourn_column_v1(c.priority, v_count), @schema.adjourn_column_v1(c.lock, v_count),
           @schema.adjourn_column_v1(c.queueing_lock, v_count), @schema.adjourn_column_v1(c.headers, v_count),
           case when coalesce(c.scheduled_at, c.schedule_in) is not null then array(
               select coalesce(now() + make_interval(secs => u.seconds::double precision), u.at::timestamptz)
               from unnest(@schema.adjourn_column_v1(c.scheduled_at, v_count), @schema.adjourn_column_v1(c.schedule_in, v_count))
                   with ordinality u(at, seconds, position) order by u.position
           ) end
    into v_queues, v_task_names, v_priorities, v_locks, v_queueing_locks, v_headers, v_due
    from json_to_record(p_columns::json) c(
        queue json, task_name json, priority json, lock json, queueing_lock json, headers json, scheduled_at json, schedule_in json
    );
    if exists (select from unnest(v_queueing_locks) q where q is not null) then
        if not p_own_transaction and current_setting('lock_timeout') = '0' then
            -- Another transaction may be storing a job with the same queueing lock, and stay open. A caller's transaction has the caller's limit.
            perform set_config('lock_timeout', '10s', true);
        end if;
        v_ids := array(
            select nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) from generate_series(1, v_count)
        );
        if v_count = 1 then
            insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, hold)
            values (v_ids[1], v_queues[1], v_task_names[1], v_priorities[1]::integer, v_locks[1], v_queueing_locks[1], v_queueing_locks[1],
                    v_args[1]::jsonb, v_headers[1]::jsonb, v_due[1],
                    case when v_due[1] > now() then @scheduled when v_locks[1] is not null then @unplaced else @ready end)
            on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing;
            if not found then
                return query select null::bigint[], v_queueing_locks[1];
                return;
            end if;
        else
            -- A block with a handler takes back what it has stored. Deleting it would need a right that who defers jobs need not
            -- have.
            begin
                -- Two batches with the same queueing locks must insert them in the same order, or they may wait for each other.
                insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, hold)
                select u.id, u.queue, u.task_name, u.priority::integer, u.lock, u.queueing_lock, u.queueing_lock, u.args::jsonb, u.headers::jsonb, u.due,
                       case when u.due > now() then @scheduled when u.lock is not null then @unplaced else @ready end
                from unnest(v_ids, v_queues, v_task_names, v_priorities, v_locks, v_queueing_locks, v_args, v_headers, v_due)
                    u(id, queue, task_name, priority, lock, queueing_lock, args, headers, due)
                order by u.queueing_lock
                on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing;
                get diagnostics v_stored = row_count;
                if v_stored < v_count then
                    v_taken := (
                        select u.queueing_lock from unnest(v_ids, v_queueing_locks) u(id, queueing_lock)
                        where not exists (select from @schema.adjourn_jobs j where j.id = u.id offset 0) limit 1
                    );
                    raise exception using errcode = 'ADJ01';
                end if;
            exception when sqlstate 'ADJ01' then
                return query select null::bigint[], v_taken;
                return;
            end;
        end if;
    else
        with new as (
            insert into @schema.adjourn_jobs (queue, task_name, priority, lock, args, headers, scheduled_at, hold)
            select u.queue, u.task_name, u.priority::integer, u.lock, u.args::jsonb, u.headers::jsonb, u.due,
                   case when u.due > now() then @scheduled when u.lock is not null then @unplaced else @ready end
            from unnest(v_queues, v_task_names, v_priorities, v_locks, v_args, v_headers, v_due)
                u(queue, task_name, priority, lock, args, headers, due)
            returning adjourn_jobs.id
        )
        select array_agg(new.id) into v_ids from new;
    end if;
    if p_own_transaction or exists (select from unnest(v_due) due where due > now()) then
        perform @schema.adjourn_wake_v1(p_own_transaction, null);
    else
        perform @schema.adjourn_wake_for_v1(v_queues, null);
    end if;
    return query select v_ids, null::text;
end $$;
