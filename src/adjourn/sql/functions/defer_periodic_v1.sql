-- Defer ticks of periodic tasks: record each tick and store its job, or do neither. A tick without arguments has no job: it
-- is recorded as skipped. The ticks of one schedule follow each other, the oldest first.
-- Only one session at a time does this, elected by a try-lock. It does not wait for other transactions: a tick that one
-- holds up is left out, and the others are deferred.
-- Returns for each tick, in the order given, the job's id and an outcome:
--   stored, skipped: the tick is recorded, with its job or without
--   taken: the tick is recorded, and its job was not stored, because the queueing lock is taken
--   known: this tick or a later one was recorded before
--   early: the tick is in the future
--   paused: the schedule is paused, and the tick is left for when it is resumed
--   held: another transaction has locked the schedule or is about to store it, or has stored a job with the queueing lock and not yet committed
--   busy: another session defers ticks
create function @schema.adjourn_defer_periodic_v1(
    p_task_names text[], p_periodic_ids text[], p_crons text[], p_timezones text[], p_ticks timestamptz[],
    p_queues text[], p_priorities integer[], p_locks text[], p_queueing_locks text[], p_args jsonb[], p_headers jsonb[], p_terms jsonb[],
    p_next_ticks timestamptz[]
) returns table (outcome text, job_id bigint)
language plpgsql set lock_timeout = '2s' as $$
declare
    c_recent constant integer := 20;
    v_outcomes text[];
    v_job_ids bigint[] := array_fill(null::bigint, array[cardinality(p_ticks)]);
    v_job_id bigint;
    v_new bigint[];
    v_taken integer := 0;
    v_new_schedule record;
    v_is_new boolean := false;
begin
    if not pg_try_advisory_xact_lock(@ticking_key) then
        return query select 'busy', null::bigint from unnest(p_ticks);
        return;
    end if;
    -- A schedule that has not been due yet gets its row first: somebody may have paused it in a transaction that stays open, and nobody else sees
    -- that row.
    perform set_config('lock_timeout', '1', true);
    for v_new_schedule in
        select distinct u.task_name, u.periodic_id from unnest(p_task_names, p_periodic_ids, p_ticks) u(task_name, periodic_id, tick)
        where u.tick <= now() and not exists (
            select from @schema.adjourn_schedules s where s.task_name = u.task_name and s.periodic_id = u.periodic_id
        )
    loop
        v_is_new := true;
        begin
            insert into @schema.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick)
            values (v_new_schedule.task_name, v_new_schedule.periodic_id, '', '', '-infinity') on conflict do nothing;
        exception when lock_not_available then
            null;  -- without a row it counts as held below
        end;
    end loop;
    perform set_config('lock_timeout', '2s', true);
    v_outcomes := array(
        with given as (
            select u.* from unnest(p_task_names, p_periodic_ids, p_ticks, p_args)
                with ordinality u(task_name, periodic_id, tick, args, position)
        ), free as materialized (
            select s.task_name, s.periodic_id, s.last_tick, s.paused_at from @schema.adjourn_schedules s
            where (s.task_name, s.periodic_id) in (select g.task_name, g.periodic_id from given g) for update skip locked
        )
        select case
            when g.tick > now() then 'early'
            when f.task_name is null then 'held'
            -- A last tick that is far in the future was recorded while the server's clock was wrong.
            when f.last_tick >= g.tick and f.last_tick <= now() + make_interval(secs => @clock_tolerance) then 'known'
            when f.paused_at is not null then 'paused'
            when g.args is null then 'skipped'
            else 'stored' end
        from given g
        left join free f on f.task_name = g.task_name and f.periodic_id = g.periodic_id
        order by g.position
    );

    -- Jobs without a queueing lock wait for nobody, so one statement stores them.
    with new as (
        insert into @schema.adjourn_jobs (queue, task_name, priority, lock, args, headers, expires_at, max_attempts, is_batch, special, hold)
        select u.queue, u.task_name, u.priority, u.lock, u.args, u.headers,
               @schema.adjourn_expiry_v1(null, (u.terms ->> 'expires_in')::double precision, null), (u.terms ->> 'max_attempts')::integer, (u.terms ->> 'is_batch')::boolean,
               case when u.terms is not null then true end, case when u.lock is not null then @unplaced else @ready end
        from unnest(p_queues, p_task_names, p_priorities, p_locks, p_queueing_locks, p_args, p_headers, p_terms, v_outcomes)
            with ordinality u(queue, task_name, priority, lock, queueing_lock, args, headers, terms, outcome, position)
        where u.outcome = 'stored' and u.queueing_lock is null order by u.position
        returning id
    )
    select array_agg(new.id order by new.id) into v_new from new;

    perform set_config('lock_timeout', '1', true);
    for v_at in 1 .. cardinality(p_ticks) loop
        if v_outcomes[v_at] <> 'stored' then
            continue;
        elsif p_queueing_locks[v_at] is null then
            v_taken := v_taken + 1;
            v_job_ids[v_at] := v_new[v_taken];
        elsif v_outcomes[v_at - 1] = 'held' and p_task_names[v_at - 1] = p_task_names[v_at]
              and p_periodic_ids[v_at - 1] = p_periodic_ids[v_at] then
            v_outcomes[v_at] := 'held';
        else
            begin
                insert into @schema.adjourn_jobs
                    (queue, task_name, priority, lock, queueing_lock, waiting_queueing_lock, args, headers, expires_at, max_attempts, is_batch, special, hold)
                values (p_queues[v_at], p_task_names[v_at], p_priorities[v_at], p_locks[v_at], p_queueing_locks[v_at],
                        p_queueing_locks[v_at], p_args[v_at], p_headers[v_at],
                        @schema.adjourn_expiry_v1(null, (p_terms[v_at] ->> 'expires_in')::double precision, null),
                        (p_terms[v_at] ->> 'max_attempts')::integer, (p_terms[v_at] ->> 'is_batch')::boolean, case when p_terms[v_at] is not null then true end,
                        case when p_locks[v_at] is not null then @unplaced else @ready end)
                on conflict (waiting_queueing_lock) where waiting_queueing_lock is not null do nothing
                returning id into v_job_id;
                v_job_ids[v_at] := v_job_id;
                v_outcomes[v_at] := case when v_job_id is null then 'taken' else 'stored' end;
            exception when lock_not_available then
                v_outcomes[v_at] := 'held';
            end;
        end if;
    end loop;
    perform set_config('lock_timeout', '2s', true);

    insert into @schema.adjourn_schedules as s
        (task_name, periodic_id, cron, timezone, last_tick, next_tick, last_job_id, recent_ticks, recent_job_ids)
    select u.task_name, u.periodic_id, max(u.cron), max(u.timezone), max(u.tick), max(u.next_tick), max(u.job_id),
           (array_agg(u.tick order by u.tick))[count(*) - c_recent + 1 :], (array_agg(u.job_id order by u.tick))[count(*) - c_recent + 1 :]
    from unnest(p_task_names, p_periodic_ids, p_crons, p_timezones, p_ticks, p_next_ticks, v_outcomes, v_job_ids)
        u(task_name, periodic_id, cron, timezone, tick, next_tick, outcome, job_id)
    where u.outcome in ('stored', 'taken', 'skipped')
    group by u.task_name, u.periodic_id
    on conflict (task_name, periodic_id) do update
    set last_tick = excluded.last_tick, next_tick = excluded.next_tick, last_job_id = coalesce(excluded.last_job_id, s.last_job_id),
        cron = excluded.cron, timezone = excluded.timezone, seen_at = now(),
        recent_ticks = (s.recent_ticks || excluded.recent_ticks)[cardinality(s.recent_ticks || excluded.recent_ticks) - c_recent + 1 :],
        recent_job_ids = (s.recent_job_ids || excluded.recent_job_ids)[cardinality(s.recent_job_ids || excluded.recent_job_ids) - c_recent + 1 :];
    if v_is_new then
        -- Of these, no tick was recorded: a queueing lock holds the first one up.
        delete from @schema.adjourn_schedules s
        where s.last_tick = '-infinity' and (s.task_name, s.periodic_id) in (
            select u.task_name, u.periodic_id from unnest(p_task_names, p_periodic_ids) u(task_name, periodic_id)
        );
    end if;
    if 'stored' = any(v_outcomes) then
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    return query select u.outcome, u.job_id from unnest(v_outcomes, v_job_ids) u(outcome, job_id);
end $$;
