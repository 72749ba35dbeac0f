-- `attempts` counts the attempts that have ended, the last one included, and so does the number of an error. Of a job's
-- errors the first and the last nine are kept. A claim asks for unplaced work before it claims.

create function @schema.adjourn_with_error_v1(p_errors jsonb, p_error jsonb) returns jsonb
language sql immutable as $$
    select case
        when p_error is null then p_errors
        when p_errors is null then jsonb_build_array(p_error)
        when jsonb_array_length(p_errors) < 10 then p_errors || p_error
        else (p_errors - 1) || p_error
    end
$$;


-- One round trip of a worker: store what has ended, and claim what is next.
--   p_ids, p_claims, p_statuses, p_errors: what has ended, ids ascending; a null status deletes the job without a trace.
--   p_limit: how many jobs to claim. p_queues: from which queues, null for all.
--   p_busy: the worker has been saturated for a while and need not be told of new jobs.
--   p_probe: look for due, unplaced and headless work too.
-- Returns the claimed jobs, then a last row without id whose args is a report, as JSON.
create function @schema.adjourn_exchange_v2(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_statuses text[], p_errors jsonb[],
    p_limit integer, p_queues text[], p_busy boolean, p_probe boolean
) returns table (
    id bigint, queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at timestamptz,
    attempts integer, claim integer, abort_requested boolean, enqueued_at timestamptz, started_at timestamptz
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off set lock_timeout = '10s' as $$
#variable_conflict use_column
declare
    v_finished bigint[] := '{}';
    v_locks text[];
    v_promoted bigint[] := '{}';
    v_picked bigint[] := '{}';
    v_alive boolean := true;
    v_hungry boolean;
    v_repeat boolean := false;
    v_place boolean;
    v_due timestamptz;
begin
    if p_probe then
        v_due := (select j.scheduled_at from @schema.adjourn_jobs j where j.hold = 1 order by j.scheduled_at limit 1);
        if v_due <= now() then
            update @schema.adjourn_jobs set hold = case when lock is null then 0 else 3 end
            where id = any(array(
                select j.id from @schema.adjourn_jobs j where j.hold = 1 and j.scheduled_at <= now()
                order by j.scheduled_at limit 1000 for update skip locked
            ));
            v_due := (select j.scheduled_at from @schema.adjourn_jobs j where j.hold = 1 order by j.scheduled_at limit 1);
        end if;
    end if;

    if cardinality(p_ids) > 0 then
        with ended as materialized (
            select * from unnest(p_ids, p_claims, p_statuses, p_errors) u(id, claim, status, error)
        ), gone as (
            delete from @schema.adjourn_jobs j using ended
            where j.id = ended.id and j.claim = ended.claim and j.worker_id = p_worker
            returning j.*, ended.status, ended.error
        ), stored as (
            insert into @schema.adjourn_finished_jobs (
                id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
                abort_requested, enqueued_at, started_at, errors, status, finished_at
            )
            select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts + 1, losses, claim, worker_id,
                   abort_requested, enqueued_at, started_at,
                   @schema.adjourn_with_error_v1(errors, error), status, now()
            from gone where status is not null
        )
        select coalesce(array_agg(id), '{}'), array_agg(lock) filter (where lock is not null) into v_finished, v_locks from gone;
        if v_locks is not null then
            v_promoted := @schema.adjourn_promote_v1(v_locks);
        end if;
    end if;

    if p_probe then
        -- Before the claim: what another worker places in between is found by the claim. The other way round it would be
        -- seen by neither, and a worker that ends when nothing is left would leave it.
        v_place := exists (select from @schema.adjourn_jobs j where j.hold = 3) or exists (select from @schema.adjourn_headless_locks);
    end if;

    if p_limit > 0 then
        select w.hungry into v_hungry from @schema.adjourn_workers w
        where w.id = p_worker and not w.dead and w.expires_at > now() for key share;
        v_alive := found;
        if v_alive then
            if p_queues is null then
                v_picked := array(
                    select j.id from @schema.adjourn_jobs j where j.hold = 0 and j.worker_id is null
                    order by j.priority desc, j.id limit p_limit for update skip locked
                );
            else
                -- A range of one queue, and an order that begins with it, leave the planner no index but the one by
                -- queue; an equality lets it take the other and walk past every job that waits in other queues.
                v_picked := array(
                    select best.id from (select distinct unnest(p_queues)) q(queue) cross join lateral (
                        select j.id, j.priority from @schema.adjourn_jobs j
                        where j.hold = 0 and j.worker_id is null and j.queue >= q.queue and j.queue <= q.queue
                        order by j.queue, j.priority desc, j.id limit p_limit for update skip locked
                    ) best
                    order by best.priority desc, best.id limit p_limit
                );
            end if;
            if v_picked <> '{}' then
                return query
                update @schema.adjourn_jobs j
                set worker_id = p_worker, claim = j.claim + 1, started_at = now(), waiting_queueing_lock = null
                where j.id = any(v_picked)
                returning j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text, j.scheduled_at,
                          j.attempts, j.claim, j.abort_requested, j.enqueued_at, j.started_at;
            end if;
            if not v_hungry and cardinality(v_picked) < p_limit then
                -- A job stored meanwhile did not see the flag: the worker asks once more after this commit.
                update @schema.adjourn_workers set hungry = true where id = p_worker;
                v_repeat := true;
            elsif v_hungry and p_busy then
                update @schema.adjourn_workers set hungry = false where id = p_worker;
            end if;
        end if;
    end if;
    if not v_promoted <@ v_picked then
        perform @schema.adjourn_wake_v1(false, p_worker);
    end if;

    return query select null::bigint, null::text, null::text, null::integer, null::text, null::text, json_build_object(
        'refused', case when cardinality(v_finished) < cardinality(p_ids) then
            array(select u from unnest(p_ids) u where u <> all(v_finished)) end,
        'alive', v_alive, 'repeat', v_repeat, 'place', v_place,
        'due_in', extract(epoch from v_due - now())
    )::text, null::timestamptz, null::integer, null::integer, null::boolean, null::timestamptz, null::timestamptz;
end $$;


-- Run a job again, by hand: one that has ended comes back with its id, one that runs is taken from its worker, one
-- that waits is rescheduled. Returns false if there is no such job.
create function @schema.adjourn_retry_by_id_v2(
    p_id bigint, p_at timestamptz, p_priority integer, p_queue text, p_relock boolean, p_lock text
) returns boolean
language plpgsql as $$
declare
    v_old record;
    v_new text;
begin
    select * into v_old from @schema.adjourn_jobs j where j.id = p_id for update;
    if found then
        v_new := case when p_relock then p_lock else v_old.lock end;
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, scheduled_at = p_at, priority = coalesce(p_priority, j.priority),
            attempts = j.attempts + (v_old.worker_id is not null)::integer, queue = coalesce(p_queue, j.queue), lock = v_new,
            queueing_lock = case when v_old.worker_id is null then j.queueing_lock end,
            -- Whoever wants it to run again does not want its end any more.
            abort_requested = false,
            hold = case when p_at > now() then 1 when v_new is null then 0 else 3 end
        where j.id = p_id;
        if v_old.lock is not null and v_old.hold = 0 then
            insert into @schema.adjourn_headless_locks (lock) values (v_old.lock);
        end if;
    else
        with gone as (
            delete from @schema.adjourn_finished_jobs f where f.id = p_id returning f.*
        )
        insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, args, scheduled_at, attempts, claim, enqueued_at, errors, hold)
            overriding system value
        select g.id, coalesce(p_queue, g.queue), g.task_name, coalesce(p_priority, g.priority),
               case when p_relock then p_lock else g.lock end, g.args, p_at, g.attempts, g.claim, g.enqueued_at, g.errors,
               case when p_at > now() then 1 when (case when p_relock then p_lock else g.lock end) is null then 0 else 3 end
        from gone g;
        if not found then
            return false;
        end if;
    end if;
    perform @schema.adjourn_wake_v1(true, null);
    return true;
end $$;


-- Put jobs of a worker that failed back, to be run again. Returns the ids whose claim was still the worker's.
--   p_at: not before then, null for at once. p_priorities, p_queues: null leaves them. p_relock: take the new lock, which may be null.
-- A retry gives up its queueing lock, so that it can always be stored. Without delay it stays its lock's head.
create function @schema.adjourn_retry_v2(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_errors jsonb[], p_at timestamptz[], p_priorities integer[],
    p_queues text[], p_relock boolean[], p_locks text[]
) returns setof bigint
language plpgsql set lock_timeout = '10s' as $$
declare
    v_row record;
    v_old text;
    v_new text;
    v_hold integer;
begin
    for v_row in
        select * from unnest(p_ids, p_claims, p_errors, p_at, p_priorities, p_queues, p_relock, p_locks)
            u(id, claim, error, at, priority, queue, relock, lock) order by u.id
    loop
        select j.lock into v_old from @schema.adjourn_jobs j
        where j.id = v_row.id and j.claim = v_row.claim and j.worker_id = p_worker for update;
        continue when not found;
        v_new := case when v_row.relock then v_row.lock else v_old end;
        v_hold := case when v_row.at > now() then 1 when v_new is null or v_new is not distinct from v_old then 0 else 3 end;
        update @schema.adjourn_jobs j set
            worker_id = null, attempts = j.attempts + 1, started_at = null, scheduled_at = v_row.at,
            priority = coalesce(v_row.priority, j.priority), queue = coalesce(v_row.queue, j.queue), lock = v_new,
            queueing_lock = null, waiting_queueing_lock = null, hold = v_hold,
            errors = @schema.adjourn_with_error_v1(j.errors, v_row.error)
        where j.id = v_row.id;
        if v_old is not null and (v_hold <> 0 or v_new is distinct from v_old) then
            perform @schema.adjourn_promote_v1(array[v_old]);
        end if;
        return next v_row.id;
    end loop;
    perform @schema.adjourn_wake_v1(false, p_worker);
end $$;


-- Declare workers dead that have not been heard of, and free their jobs. A job that lost its worker p_max_losses times fails.
-- Returns how many jobs were freed and how many failed.
create function @schema.adjourn_rescue_v2(p_max_losses integer, p_grace interval) returns table (rescued integer, failed integer)
language plpgsql as $$
declare
    v_dead bigint[];
    v_ids bigint[];
    v_locks text[];
begin
    rescued := 0; failed := 0;
    -- After a restart of the server every worker looks silent: give them time to be heard.
    if now() < pg_postmaster_start_time() + p_grace then
        return next;
        return;
    end if;
    v_dead := array(
        select w.id from @schema.adjourn_workers w where w.dead or w.expires_at < now() order by w.id for update skip locked
    );
    if v_dead = '{}' then
        return next;
        return;
    end if;
    update @schema.adjourn_workers w set dead = true where w.id = any(v_dead) and not w.dead;

    v_ids := array(
        select j.id from @schema.adjourn_jobs j
        where j.hold = 0 and j.worker_id = any(v_dead) and j.losses + 1 >= p_max_losses order by j.id for update skip locked
    );
    with gone as (
        delete from @schema.adjourn_jobs j where j.id = any(v_ids) returning j.*
    ), stored as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
            abort_requested, enqueued_at, started_at, errors, status, finished_at
        )
        select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts + 1, losses + 1, claim, worker_id,
               abort_requested, enqueued_at, started_at,
               @schema.adjourn_with_error_v1(errors, jsonb_build_object(
                   'exception', 'WorkerLost', 'message', format('the worker was lost %s times while it ran this job', losses + 1),
                   'attempt', attempts + 1, 'started_at', started_at, 'ended_at', now()
               )), 'failed', now()
        from gone
    )
    select count(*), array_agg(lock) filter (where lock is not null) into failed, v_locks from gone;
    if v_locks is not null then
        perform @schema.adjourn_promote_v1(v_locks);
    end if;

    update @schema.adjourn_jobs j set worker_id = null, started_at = null, attempts = j.attempts + 1, losses = j.losses + 1
    where j.id = any(array(
        select l.id from @schema.adjourn_jobs l where l.hold = 0 and l.worker_id = any(v_dead) order by l.id for update skip locked
    ));
    get diagnostics rescued = row_count;
    -- A job in the hands of another transaction was passed over: its worker's row stays until the next round.
    delete from @schema.adjourn_workers w
    where w.id = any(v_dead) and not exists (select from @schema.adjourn_jobs j where j.hold = 0 and j.worker_id = w.id);
    if rescued + failed > 0 then
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    return next;
end $$;
