-- Store new jobs of which some are unique, all or none, as if one after the other were deferred. Each is an object in p_jobs:
--   the columns of the job, with its arguments as text; schedule_in: seconds from now until it is due, wins over scheduled_at;
--   key: what the same jobs have in common, null for a job that is not unique; over: the statuses that count; period: after so
--   many seconds a job does not count any more, null for never; on_conflict: raise, skip or replace.
--   p_own_transaction: the caller commits later. A worker may fall asleep meanwhile, so notify in any case.
-- Returns for each job, in the order given, its id and an outcome: stored, exists or replaced. If nothing was stored, it returns
-- other rows: taken, with the id of a job that is there already (null for one of these jobs); locked, with a queueing lock that is
-- taken; or strict: under this isolation nobody sees what others have just stored.
--   Each key has a row, which is locked before its job is judged, so whoever defers a job with the same key waits for this
--   transaction. Keys are locked in their order, and before any job is: two batches cannot wait for each other. What workers do
--   needs no key.
create function @schema.adjourn_defer_unique_v1(p_jobs json, p_own_transaction boolean)
returns table (id bigint, outcome text, queueing_lock text)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    v_keys text[];
    v_places integer[];                       -- of each job: the place of its key in v_keys
    v_overs text[];                           -- of each job: the statuses that count, as text
    v_periods double precision[];
    v_policies text[];
    v_now timestamptz;
    v_ended boolean := exists (select from json_array_elements(p_jobs) j where (j.value ->> 'over')::text[] && '{succeeded, failed, cancelled, aborted}');
    v_sequence regclass := pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id');
    v_states text[];                          -- from here on, of each key: the status of its job, 'gone' if there is none,
    v_jobs bigint[];                          --   its id,
    v_times timestamptz[];                    --   when it was deferred,
    v_kept timestamptz[];                     --   until when it counts, even if it has ended,
    v_sources integer[];                      --   the place in the batch of a new job,
    v_renewed bigint[];                       --   the id of an older job that is replaced,
    v_renewals integer[];                     --   and the place of the job that replaces it
    v_locked bigint[] := '{}';
    v_special @schema.adjourn_jobs[];
    v_ids bigint[] := '{}';                   -- from here on, of each job: its id,
    v_outcomes text[] := '{}';                --   what became of it,
    v_values integer[] := array_fill(null::integer, array[json_array_length(p_jobs)]); -- and of a new job, the place of the one whose values it has
    v_taken bigint[] := '{}';
    v_taken_lock text;
    v_key integer;
    v_until timestamptz;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        return query select null::bigint, 'strict', null::text;
        return;
    end if;
    if not p_own_transaction and current_setting('lock_timeout') = '0' then
        -- Another transaction may be storing a job with the same key or queueing lock, and stay open. A caller's transaction has the caller's limit.
        perform set_config('lock_timeout', '10s', true);
    end if;
    v_keys := array(select distinct j.value ->> 'key' collate "C" from json_array_elements(p_jobs) j where j.value ->> 'key' is not null order by 1);
    select array_agg(k.place order by j.position), array_agg(j.value ->> 'over' order by j.position),
           array_agg((j.value ->> 'period')::double precision order by j.position), array_agg(j.value ->> 'on_conflict' order by j.position)
    into v_places, v_overs, v_periods, v_policies
    from json_array_elements(p_jobs) with ordinality j(value, position)
    left join unnest(v_keys) with ordinality k(key, place) on k.key = j.value ->> 'key';

    begin
        insert into @schema.adjourn_unique_keys as u (key, job_id, deferred_at)
        select k.key, 0, '-infinity' from unnest(v_keys) with ordinality k(key, place) order by k.place
        on conflict (key) do update set key = u.key where false;
        -- A statement of its own, which sees what those have stored that had the keys.
        v_now := clock_timestamp();
        select array_agg(case when j.id is not null and j.worker_id is null then 'todo' when j.id is not null then 'doing'
                   else coalesce(f.status, case when u.keep_until > v_now then 'succeeded' end, 'gone') end order by k.place),
               array_agg(u.job_id order by k.place), array_agg(u.deferred_at order by k.place), array_agg(u.keep_until order by k.place),
               array_agg(null::integer), array_agg(null::bigint), array_agg(null::integer)
        into v_states, v_jobs, v_times, v_kept, v_sources, v_renewed, v_renewals
        from unnest(v_keys) with ordinality k(key, place)
        join @schema.adjourn_unique_keys u on u.key = k.key
        left join @schema.adjourn_jobs j on j.id between u.job_id and u.job_id
        left join lateral (
            select o.status from @schema.adjourn_finished_jobs o where v_ended and o.id = u.job_id and j.id is null limit 1
        ) f on true;
        -- A worker may be about to claim a job that waits. Where it makes a difference, the job is kept from workers until
        -- this transaction ends.
        v_locked := @schema.adjourn_lock_waiting_v1(array(
            select distinct v_jobs[w.place] from unnest(v_places, v_overs, v_policies) w(place, over, on_conflict)
            where v_states[w.place] = 'todo' and (w.on_conflict = 'replace' or ('todo' = any(w.over::text[])) <> ('doing' = any(w.over::text[])))
        ));
        for v_at in 1 .. cardinality(v_places) loop
            v_key := v_places[v_at];
            if v_key is not null and v_states[v_key] = 'todo' and v_sources[v_key] is null and v_jobs[v_key] <> all(v_locked)
               and (v_policies[v_at] = 'replace' or ('todo' = any(v_overs[v_at]::text[])) <> ('doing' = any(v_overs[v_at]::text[]))) then
                v_states[v_key] := 'doing';
            end if;
            if v_key is null or v_states[v_key] <> all(v_overs[v_at]::text[])
               or v_times[v_key] <= v_now - make_interval(secs => v_periods[v_at]) then
                v_ids[v_at] := nextval(v_sequence);
                v_outcomes[v_at] := 'stored';
                v_values[v_at] := v_at;
                if v_key is not null then
                    v_states[v_key] := 'todo';
                    v_jobs[v_key] := v_ids[v_at];
                    v_times[v_key] := v_now;
                    v_kept[v_key] := null;
                    v_sources[v_key] := v_at;
                end if;
            else
                v_ids[v_at] := v_jobs[v_key];
                v_outcomes[v_at] := 'exists';
                if v_policies[v_at] = 'raise' then
                    v_taken := v_taken || case when v_sources[v_key] is null then v_jobs[v_key] end;
                elsif v_policies[v_at] = 'replace' and v_states[v_key] = 'todo' then
                    v_outcomes[v_at] := 'replaced';
                    if v_sources[v_key] is null then
                        -- A later job of the batch may be stored beside it, and have the key from then on.
                        v_renewed[v_key] := v_jobs[v_key];
                        v_renewals[v_key] := v_at;
                    else
                        v_values[v_sources[v_key]] := v_at;
                    end if;
                end if;
            end if;
            if v_key is not null and v_overs[v_at]::text[] && '{succeeded, failed, cancelled, aborted}' then
                v_until := coalesce(v_times[v_key] + make_interval(secs => v_periods[v_at]), 'infinity');
                v_kept[v_key] := greatest(v_kept[v_key], v_until);
            end if;
        end loop;
        if v_taken <> '{}' then
            raise exception using errcode = 'ADJ01';
        end if;

        update @schema.adjourn_unique_keys u set job_id = c.job_id, deferred_at = c.deferred_at, keep_until = c.keep_until
        from unnest(v_keys, v_jobs, v_times, v_kept) c(key, job_id, deferred_at, keep_until)
        where u.key = c.key and (u.job_id <> c.job_id or u.keep_until is distinct from c.keep_until);

        insert into @schema.adjourn_headless_locks (lock)
        select distinct j.lock from @schema.adjourn_jobs j
        where j.id = any(v_renewed) and j.lock is not null and j.hold in (@heads);
        -- Who may only defer jobs cannot read whole rows, and needs to only of special jobs.
        if exists (select from @schema.adjourn_jobs j where j.id = any(v_renewed) and j.special) then
            v_special := array(select j from @schema.adjourn_jobs j where j.id = any(v_renewed) and j.special);
        end if;
        update @schema.adjourn_jobs j set
            queue = n.queue, task_name = n.task_name, priority = n.priority, lock = n.lock, args = n.args::jsonb, headers = n.headers, scheduled_at = n.at,
            -- Whatever became of its runs with the old arguments, nobody suspects the new ones.
            losses = 0, doubts = 0, unknown_since = null, awaited_event = null, has_steps = null,
            -- It has a new priority, and what the old one had got by waiting is not part of it.
            aged = null,
            -- It may have other limits now.
            limit_id = null, limit_key = null, key_slot = null, task_slot = null, queue_slot = null, gate_id = null, gate_key = null,
            expires_at = @schema.adjourn_expiry_v1(n.expires_at, n.expires_in, n.at), max_attempts = n.max_attempts, is_batch = n.is_batch,
            special = case when coalesce(n.expires_at::text, n.expires_in::text, n.max_attempts::text, n.is_batch::text) is not null then true else j.special end,
            hold = case when n.at > now() then @scheduled when n.lock is not null then @unplaced else @ready end
        from (
            select r.id, g.*, coalesce(now() + make_interval(secs => g.schedule_in), g.scheduled_at) as at
            from unnest(v_renewed, v_renewals) r(id, source)
            join rows from (json_to_recordset(p_jobs) as (
                queue text, task_name text, priority integer, lock text, args text, headers jsonb, scheduled_at timestamptz, schedule_in double precision,
                expires_at timestamptz, expires_in double precision, max_attempts integer, is_batch boolean
            )) with ordinality g(queue, task_name, priority, lock, args, headers, scheduled_at, schedule_in, expires_at, expires_in, max_attempts, is_batch, position) on g.position = r.source
        ) n where j.id between n.id and n.id;
        perform @schema.adjourn_limit_jobs_v1(p_jobs, v_renewed, v_renewals);
        if v_special <> '{}' then
            perform @schema.adjourn_end_v1(v_special, null, null, true);
        end if;
        if exists (select from unnest(v_special) o where o.has_steps) then
            -- What was remembered came of the old arguments.
            delete from @schema.adjourn_steps s where s.job_id = any(array(select o.id from unnest(v_special) o where o.has_steps));
        end if;

        -- Two batches with the same queueing locks must insert them in the same order, or they may wait for each other.
        insert into @schema.adjourn_jobs (
            id, queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, scheduled_at, expires_at, max_attempts, is_batch, special, hold
        )
        select n.id, n.queue, n.task_name, n.priority, n.lock, n.queueing_lock, n.queueing_lock, n.args::jsonb, n.headers, n.at,
               @schema.adjourn_expiry_v1(n.expires_at, n.expires_in, n.at), n.max_attempts, n.is_batch,
               case when coalesce(n.expires_at::text, n.expires_in::text, n.max_attempts::text, n.is_batch::text) is not null then true end,
               case when n.at > now() then @scheduled when n.lock is not null then @unplaced else @ready end
        from (
            select s.id, g.*, coalesce(now() + make_interval(secs => g.schedule_in), g.scheduled_at) as at
            from unnest(v_ids, v_outcomes, v_values) s(id, outcome, source)
            join rows from (json_to_recordset(p_jobs) as (
                queue text, task_name text, priority integer, lock text, queueing_lock text, args text, headers jsonb, scheduled_at timestamptz,
                schedule_in double precision, expires_at timestamptz, expires_in double precision, max_attempts integer, is_batch boolean
            )) with ordinality g(
                queue, task_name, priority, lock, queueing_lock, args, headers, scheduled_at, schedule_in, expires_at, expires_in, max_attempts, is_batch, position
            )
                on g.position = s.source
            where s.outcome = 'stored'
        ) n
        order by n.queueing_lock, n.id
        on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing;
        get diagnostics v_key = row_count;
        if v_key < (select count(*) from unnest(v_outcomes) o where o = 'stored') then
            v_taken_lock := (
                select g.queueing_lock from unnest(v_ids, v_values) s(id, source)
                join rows from (json_to_recordset(p_jobs) as (queueing_lock text)) with ordinality g(queueing_lock, position) on g.position = s.source
                where g.queueing_lock is not null and not exists (select from @schema.adjourn_jobs j where j.id = s.id offset 0) limit 1
            );
            raise exception using errcode = 'ADJ01';
        end if;
    exception when sqlstate 'ADJ01' then
        if v_taken_lock is not null then
            return query select null::bigint, 'locked', v_taken_lock;
        else
            return query select distinct t.id, 'taken', null::text from unnest(v_taken) t(id) order by 1;
        end if;
        return;
    end;
    perform @schema.adjourn_limit_jobs_v1(p_jobs, array(
        select s.id from unnest(v_ids, v_outcomes) with ordinality s(id, outcome, place) where s.outcome = 'stored' order by s.place
    ), array(select s.source from unnest(v_values, v_outcomes) with ordinality s(source, outcome, place) where s.outcome = 'stored' order by s.place));
    -- A worker may have passed over a job that was locked.
    if p_own_transaction or v_locked <> '{}' or exists (
        select from json_array_elements(p_jobs) j where j.value ->> 'scheduled_at' is not null or j.value ->> 'schedule_in' is not null
    ) then
        perform @schema.adjourn_wake_v1(p_own_transaction, null);
    elsif 'stored' = any(v_outcomes) then
        perform @schema.adjourn_wake_for_v1(array(
            select j.value ->> 'queue' from json_array_elements(p_jobs) with ordinality j(value, position) where v_outcomes[j.position] = 'stored'
        ), null);
    end if;
    return query select s.id, s.outcome, null::text from unnest(v_ids, v_outcomes) with ordinality s(id, outcome, position) order by s.position;
end $$;
