-- Store jobs that are more than plain, all or none, and return their ids, in the order given. p_jobs is an array of objects, whose members are those
-- below; `limit_name` and the numbers with it are the limit of the job's key. If a queueing lock is taken, no job is stored, and
-- one row without an id names the lock in `taken`.
--   p_own_transaction: the caller commits later. A worker may fall asleep meanwhile, so notify in any case.
create function @schema.adjourn_defer_special_v1(p_jobs json, p_own_transaction boolean) returns table (id bigint, taken text)
language plpgsql set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    v_ids bigint[];
    v_stored integer;
    v_taken text;
    v_is_named boolean := strpos(p_jobs::text, '"limit_name"') > 0;
    v_is_limited boolean := v_is_named or exists (select from @schema.adjourn_limits);
begin
    if not p_own_transaction and current_setting('lock_timeout') = '0' then
        -- Another transaction may be storing a job with the same queueing lock, or a new limit, and stay open. A caller's transaction has the caller's limit.
        perform set_config('lock_timeout', '10s', true);
    end if;
    if v_is_named then
        -- Programs declare a limit before they name it. This is for one that was deleted since.
        insert into @schema.adjourn_limits (scope, name, concurrency, rates, is_declared, declared)
        select distinct on (o.limit_name) 'key', o.limit_name, o.concurrency, o.rates, true,
               jsonb_build_object('concurrency', o.concurrency, 'rates', o.rates)
        from json_to_recordset(p_jobs) o(limit_name text, concurrency integer, rates jsonb)
        where o.limit_name is not null
          and not exists (select from @schema.adjourn_limits l where l.scope = 'key' and l.name = o.limit_name)
        order by o.limit_name
        on conflict do nothing;
    end if;
    v_ids := array(
        select nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) from generate_series(1, json_array_length(p_jobs))
    );
    begin
        if not v_is_limited then
            -- Most of them only have terms, and no limit to pass.
            insert into @schema.adjourn_jobs (
                id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, hold, special,
                expires_at, max_attempts, is_batch
            )
            select v_ids[o.place], o.queue, o.task_name, o.priority, o.lock, o.queueing_lock, o.queueing_lock, o.args::jsonb, o.headers, due.at,
                   case when due.at > now() then @scheduled when o.lock is not null then @unplaced else @ready end, true,
                   @schema.adjourn_expiry_v1(o.expires_at, o.expires_in, due.at), o.max_attempts, o.is_batch
            from rows from (json_to_recordset(p_jobs) as (
                queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at timestamptz,
                schedule_in double precision, headers jsonb, expires_at timestamptz, expires_in double precision, max_attempts integer,
                is_batch boolean
            )) with ordinality o(
                queue, task_name, priority, lock, queueing_lock, args, scheduled_at, schedule_in, headers, expires_at, expires_in, max_attempts,
                is_batch, place
            ) cross join lateral (select coalesce(now() + make_interval(secs => o.schedule_in), o.scheduled_at) as at) due
            order by o.queueing_lock, o.place
            on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing;
            get diagnostics v_stored = row_count;
        else
            with given as materialized (
                select o.*, v_ids[o.place] as id, coalesce(now() + make_interval(secs => o.schedule_in), o.scheduled_at) as at
                from rows from (json_to_recordset(p_jobs) as (
                    queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at timestamptz,
                    schedule_in double precision, headers jsonb, limit_name text, limit_key text,
                    expires_at timestamptz, expires_in double precision, max_attempts integer, is_batch boolean
                )) with ordinality o(
                    queue, task_name, priority, lock, queueing_lock, args, scheduled_at, schedule_in, headers, limit_name, limit_key,
                    expires_at, expires_in, max_attempts, is_batch, place
                )
            ), gate as materialized (
                -- Jobs of a batch are mostly alike.
                select kind.*, next.limit_id from (select distinct given.limit_name, given.task_name, given.queue from given) kind
                left join @schema.adjourn_limits l on l.scope = 'key' and l.name = kind.limit_name
                cross join lateral @schema.adjourn_next_gate_v1(l.id, '', null, kind.task_name, null, kind.queue, null) next
            ), held as materialized (
                select given.*, l.id as limit_id,
                       case when given.at > now() then @scheduled when given.lock is not null then @unplaced
                            when gate.limit_id is not null then @gate else @ready end as hold,
                       gate.limit_id as gate_id, case when gate.limit_id = l.id then given.limit_key else '' end as gate_key
                from given left join @schema.adjourn_limits l on l.scope = 'key' and l.name = given.limit_name
                left join gate on gate.task_name = given.task_name and gate.queue = given.queue
                    and gate.limit_name is not distinct from given.limit_name
            ), stored as (
                insert into @schema.adjourn_jobs (
                    id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, hold, special,
                    limit_id, limit_key, gate_id, gate_key, expires_at, max_attempts, is_batch
                )
                select id, queue, task_name, priority, lock, queueing_lock, queueing_lock, args::jsonb, headers, at, hold, true,
                       limit_id, case when limit_id is not null then limit_key end,
                       case when hold = @gate then gate_id end, case when hold = @gate then gate_key end,
                       @schema.adjourn_expiry_v1(expires_at, expires_in, at), max_attempts, is_batch
                from held order by queueing_lock, place
                on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing
                returning 1
            ), noted as (
                insert into @schema.adjourn_open_limits (limit_id, limit_key) select distinct gate_id, gate_key from held where hold = @gate
            )
            select count(*) into v_stored from stored;
        end if;
        if v_stored < cardinality(v_ids) then
            v_taken := (
                select o.queueing_lock from json_to_recordset(p_jobs) o(queueing_lock text)
                join @schema.adjourn_jobs j on j.waiting_queueing_lock = o.queueing_lock limit 1
            );
            raise exception using errcode = 'ADJ01';
        end if;
    exception when sqlstate 'ADJ01' then
        return query select null::bigint, v_taken;
        return;
    end;
    perform @schema.adjourn_wake_v1(p_own_transaction, null);
    return query select u.id, null::text from unnest(v_ids) with ordinality u(id, place) order by u.place;
end $$;
