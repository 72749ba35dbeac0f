-- One round trip of a worker: store the outcomes of its jobs, and claim the next jobs.
--   p_ids, p_claims, p_statuses, p_errors: the jobs that have ended, or null for none. An id and a claim identify a job and a
--     run. A minus before the status deletes the job, unless somebody wants to know how it has ended. An error, which is JSON or null, is added to the job's errors; null instead of
--     the array means that there is none.
--   p_results, p_ttls: what the tasks returned, each as JSON or null for what is not stored, and the seconds until it lapses, null
--     for never; null instead of the arrays if nothing is stored.
--   p_back: the jobs to be put back, or null for none; adjourn_put_back_v1 describes them.
--   p_limit: how many jobs to claim. p_queues: the queues to claim from, null for all.
--   p_busy: the worker has been saturated for a while and need not be notified of new jobs, unless it finds too few now.
--   p_probe: look also for jobs that are due or not placed yet, for jobs to run apart, and for locks without a head.
--   p_concurrency, p_running: how many jobs the worker can run at once, and how many it has. What is claimed beyond that
--     waits in the worker, so if that dies, nobody knows whether it had begun.
--   p_apart: null, or the worker runs jobs apart from others: most of the deaths of workers that one of them has seen. Before
--     it claims the first, it ends those that it has. @resting: it has waited long for those to end, and claims others for a while.
--   p_tasks: those of the tasks in the last report that the worker knows: it claims the jobs that wait for somebody who does.
--   p_listens: the worker hears notifications. p_called: it was notified by its id; if it cannot take all there is, it passes
--     that on.
--   p_patience: after so many seconds such a job is claimed by any worker, which makes it fail.
--   p_follow: how many of the jobs behind a claimed head of a lock to claim with it at most; adjourn_claim_runs_v1 describes them.
--   p_floors: null, or where to begin to look for ready jobs; adjourn_pick_above_v1 describes it. The report has new floors after a look that has
--     taken long.
--   p_batches: null, or how many jobs one call takes of those of its tasks that take several, by their names. If there is one among the jobs, more
--     than p_limit are claimed.
-- Returns the claimed jobs, then a last row without id whose args is a report, as JSON: among others, which outcomes were
-- refused because the job is no longer the worker's, and which jobs another transaction holds, so that their outcomes are
-- to be sent again.
create function @schema.adjourn_exchange_v1(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_statuses text[], p_errors text[], p_results text[], p_ttls double precision[],
    p_back json, p_limit integer, p_queues text[], p_busy boolean, p_probe boolean,
    p_concurrency integer, p_running integer, p_apart integer, p_tasks text[], p_patience double precision,
    p_listens boolean, p_called boolean, p_follow integer, p_floors json, p_batches json
) returns table (
    id bigint, queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at text,
    attempts integer, claim integer, abort_requested boolean, enqueued_at text, started_at text, headers text, ready_at text
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off set lock_timeout = '10s'
set datestyle = 'ISO' as $$
#variable_conflict use_column
declare
    v_ids bigint[] := p_ids;
    v_claims integer[] := p_claims;
    v_locked bigint[];
    v_left integer := 0;
    v_held bigint[];
    v_refused bigint[];
    v_back bigint[] := '{}';
    v_ended bigint[] := '{}';
    v_freed text[] := '{}';
    v_followers bigint[];
    v_moved @schema.adjourn_jobs[];
    v_ends @schema.adjourn_jobs[];
    v_promoted bigint[] := '{}';
    v_picked bigint[] := '{}';
    v_alive boolean := true;
    v_hungry boolean;
    v_apart integer := nullif(p_apart, @resting);
    v_was_apart boolean;
    v_first bigint[];
    v_tasks text[];
    v_overdue bigint[];
    v_special boolean := false;
    v_told json;
    v_expired bigint[];
    v_more bigint[] := '{}';
    v_repeat boolean := false;
    v_place boolean;
    v_due timestamptz;
    v_gated bigint[];
    v_rate_due timestamptz;
    v_noted boolean := false;
    v_restricted boolean;
    v_queues text[] := p_queues;
    v_began timestamptz;
    v_floors json;
begin
    if p_ids is not null or p_back is not null then
        if p_back is not null then
            -- The planner expects few rows from an array, and looks each up by its id. From JSON it expects a hundred rows,
            -- and would read the whole index.
            select v_ids || array_agg(o.id), v_claims || array_agg(o.claim) into v_ids, v_claims
            from json_to_recordset(p_back) o(id bigint, claim integer);
            -- Several statements lock these rows. Each of them locks rows in the order of their ids.
            v_locked := array(
                select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.worker_id = p_worker
                order by j.id for update skip locked
            );
        end if;
        -- A range of one id leaves the planner no choice: with an equality it reads a whole index, if the last statistics were of an empty table.
        -- An outcome whose job another transaction has locked is not waited for: the others would wait with it. To lock all
        -- rows before they are deleted costs too much, so the first turn takes those that show no sign of a lock (`xmax` is
        -- who has locked a row, or is deleting it; the claim itself has left xmin there). The second locks the rest.
        loop
            if p_results is null then
                with outcome as materialized (
                    select * from unnest(p_ids, p_claims, p_statuses, p_errors) o(id, claim, status, error)
                ), gone as (
                    delete from @schema.adjourn_jobs j using outcome
                    where j.id between outcome.id and outcome.id and j.claim = outcome.claim and j.worker_id = p_worker
                      and case when v_locked is null then j.xmax = j.xmin or j.xmax = '0'::xid else j.id = any(v_locked) end
                    returning j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args, j.scheduled_at, j.attempts, j.losses, j.claim,
                              j.worker_id, j.abort_requested, j.enqueued_at, j.started_at, j.errors, j.headers, outcome.status, outcome.error,
                              j.hold, j.followers, j.special, case when j.special then j end as row
                ), stored as (
                    insert into @schema.adjourn_finished_jobs (
                        id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
                        abort_requested, enqueued_at, started_at, errors, headers, status, finished_at, special
                    )
                    select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts + 1, losses, claim, worker_id,
                           abort_requested, enqueued_at, started_at,
                           @schema.adjourn_with_error_v1(errors, error::jsonb), headers, ltrim(status, '-'), now(),
                           case when special then @schema.adjourn_kept_v1(row) end
                    from gone where left(status, 1) <> '-' or special and @schema.adjourn_is_wanted_v1(row)
                )
                select v_ended || array_agg(id), v_freed || array_agg(lock) filter (where lock is not null and hold = @ready),
                       v_followers || string_to_array(string_agg(array_to_string(followers, ','), ','), ',')::bigint[],
                       v_ends || array_agg(row) filter (where special)
                into v_ended, v_freed, v_followers, v_ends from gone;
            else
                select v_ended || done.ids, v_freed || done.freed, v_followers || done.followers, v_ends || done.ends
                into v_ended, v_freed, v_followers, v_ends
                from @schema.adjourn_finish_with_results_v1(
                    p_worker, p_ids, p_claims, p_statuses, p_errors, p_results, p_ttls, v_locked
                ) done;
            end if;
            v_left := cardinality(v_ids) - cardinality(v_ended);
            exit when v_left = 0 or v_locked is not null;
            v_locked := array(
                select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.worker_id = p_worker
                order by j.id for update skip locked
            );
            exit when v_locked = '{}';
        end loop;
        if v_freed <> '{}' then
            v_promoted := @schema.adjourn_promote_v1(v_freed, v_followers);
        end if;
        if p_back is not null then
            -- What became of a follower counts when the jobs before it have ended: it may be the head now.
            select back.ids, back.freed, back.moved into v_back, v_freed, v_moved
            from @schema.adjourn_put_back_v1(p_worker, p_back, v_locked) back;
            if v_freed <> '{}' then
                v_promoted := v_promoted || @schema.adjourn_promote_v1(v_freed, null);
            end if;
            v_ends := v_ends || v_moved;
            v_left := v_left - cardinality(v_back);
        end if;
        if v_left > 0 then
            v_held := array(
                select j.id from @schema.adjourn_jobs j join unnest(v_ids, v_claims) o(id, claim) on j.id between o.id and o.id and o.claim = j.claim
                where j.worker_id = p_worker
            );
            v_refused := array(select u from unnest(v_ids) u where u <> all(v_ended || v_back || v_held));
        end if;
        if v_ends is not null then
            v_promoted := v_promoted || @schema.adjourn_end_v1(v_ends, p_ids, p_statuses, false);
        end if;
    end if;

    if p_probe then
        if exists (select from @schema.adjourn_event_notes) then
            perform @schema.adjourn_deliver_events_v1(@due_limit);
            v_noted := exists (select from @schema.adjourn_event_notes);
        end if;
        v_due := (select j.scheduled_at from @schema.adjourn_jobs j where j.hold = @scheduled order by j.scheduled_at limit 1);
        if v_due <= now() then
            with due as (
                update @schema.adjourn_jobs set awaited_event = null, hold = case when lock is null then @ready else @unplaced end
                where id = any(array(
                    select j.id from @schema.adjourn_jobs j where j.hold = @scheduled and j.scheduled_at <= now()
                    order by j.scheduled_at limit @due_limit for update skip locked
                )) returning id, lock, special
            )
            select array_agg(due.id) into v_gated from due where due.special and due.lock is null;
            if v_gated is not null then
                perform @schema.adjourn_gate_v1(v_gated);
            end if;
            v_due := (select j.scheduled_at from @schema.adjourn_jobs j where j.hold = @scheduled order by j.scheduled_at limit 1);
        end if;
        if v_noted then
            v_due := least(v_due, now() + interval '100 ms');
        end if;
        -- This comes before the claim, so that the claim finds a job that another worker places in between. In the
        -- other order neither would see the job, and a worker that ends when no job is left would miss it.
        v_place := exists (select from @schema.adjourn_jobs j where j.hold = @unplaced) or exists (select from @schema.adjourn_headless_locks)
            or exists (select from @schema.adjourn_arrivals)
            or exists (select from @schema.adjourn_open_limits);
        v_rate_due := (select d.at from @schema.adjourn_due_rates d order by d.at limit 1);
        if v_rate_due is not null then
            if v_rate_due <= now() then
                -- Another round trip would take a part of a short period. A worker with outcomes may keep others from placing, so it
                -- does not place here.
                if p_limit = 0 or v_ids is not null then
                    v_place := true;
                elsif not pg_try_advisory_xact_lock(@electing_key) then
                    v_rate_due := now() + interval '20 ms';
                elsif not pg_try_advisory_xact_lock(@placing_key) then
                    v_place := true;
                else
                    if @schema.adjourn_place_limits_v1() > 0 then
                        perform @schema.adjourn_wake_v1(false, p_worker);
                    end if;
                    v_rate_due := (select d.at from @schema.adjourn_due_rates d order by d.at limit 1);
                end if;
            end if;
            v_due := least(v_due, v_rate_due);
        end if;
    end if;

    if p_limit > 0 then
        -- What people pause is not noted in the worker's row, which they would lock.
        select w.hungry, w.apart, exists (select from @schema.adjourn_pauses)
               or exists (select from @schema.adjourn_limits l where l.scope in ('queue', 'task') and (l.concurrency is not null or l.rates is not null))
        into v_hungry, v_was_apart, v_restricted from @schema.adjourn_workers w
        where w.id = p_worker and not w.dead and w.expires_at > now() for key share of w;
        v_alive := found;
        if v_alive then
            if v_restricted then
                v_queues := @schema.adjourn_open_queues_v1(p_queues);
            end if;
            -- What looks at tables stands in an `if` of its own: in one with other conditions it costs a query each time.
            if p_probe and p_apart is null then
                if exists (select from @schema.adjourn_jobs j where j.hold = @apart)
                    and @schema.adjourn_turn_of_apart_v1(p_worker, v_queues, p_running > 0) then
                    v_apart := 0;
                end if;
            end if;
            if v_apart is not null or v_was_apart then
                if v_apart is not null and (p_apart is not null or p_running = 0) then
                    select apart.ids, apart.worst into v_picked, v_apart
                    from @schema.adjourn_pick_apart_v1(v_queues, p_concurrency, p_running, v_apart) apart;
                    v_special := true;
                    if v_picked = '{}' and p_running = 0 then
                        v_apart := null;
                    end if;
                end if;
                if v_was_apart <> (v_apart is not null) then
                    update @schema.adjourn_workers set apart = (v_apart is not null) where id = p_worker;
                end if;
            end if;
            if v_apart is null then
                -- The ids of special jobs are picked as negative numbers, which costs no look at the others.
                v_began := clock_timestamp();
                if p_floors is not null and (v_queues is null or cardinality(v_queues) <= @few_queues) then
                    v_picked := @schema.adjourn_pick_above_v1(v_queues, p_floors, p_limit);
                elsif v_queues is null then
                    v_picked := array(
                        select case when j.special then -j.id else j.id end from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id is null
                        order by j.priority desc, coalesce(j.turn, j.id) limit p_limit for update skip locked
                    );
                else
                    v_picked := @schema.adjourn_pick_named_v1(v_queues, p_limit);
                end if;
                if (p_floors is not null or clock_timestamp() - v_began > '@slow_look') and (v_queues is null or cardinality(v_queues) <= @few_queues) then
                    v_floors := json_build_object(
                        'took', extract(epoch from clock_timestamp() - v_began),
                        'floors', @schema.adjourn_floors_v1(v_picked, v_queues, p_floors)
                    );
                end if;
                if p_probe or p_tasks is not null then
                    if exists (select from @schema.adjourn_jobs j where j.hold = @unknown) then
                        v_special := true;
                        select unknown.picked, unknown.overdue, unknown.tasks into v_picked, v_overdue, v_tasks
                        from @schema.adjourn_pick_unknown_v1(array(select abs(u) from unnest(v_picked) u), v_queues, p_tasks, p_patience, p_limit) unknown;
                    end if;
                end if;
                if not v_hungry and p_listens and cardinality(v_picked) < p_limit then
                    -- A transaction that stored a job meanwhile did not see the flag, so the worker claims again after this
                    -- commit.
                    update @schema.adjourn_workers set hungry = true where id = p_worker;
                    v_repeat := true;
                elsif v_hungry and (p_busy and cardinality(v_picked) >= p_limit or not p_listens) then
                    update @schema.adjourn_workers set hungry = false where id = p_worker;
                end if;
            end if;
            if v_special or v_restricted or 0 > any(v_picked) then
                v_picked := array(select abs(u.id) from unnest(v_picked) with ordinality u(id, place) order by u.place);
                if p_batches is not null and v_apart is null then
                    v_more := @schema.adjourn_pick_batch_v1(v_picked, p_batches, v_queues);
                    v_picked := v_picked || v_more;
                end if;
                if v_restricted or v_special or exists (select from @schema.adjourn_limits) then
                    select admitted.ids, v_repeat or admitted.parked into v_picked, v_repeat from @schema.adjourn_admit_v1(v_picked) admitted;
                end if;
                v_expired := array(select j.id from @schema.adjourn_jobs j where j.id = any(v_picked) and j.expires_at <= now());
                if v_expired <> '{}' then
                    perform @schema.adjourn_expire_v1(v_expired);
                    v_picked := array(select u.id from unnest(v_picked) with ordinality u(id, place) where u.id <> all(v_expired) order by u.place);
                    v_repeat := true;
                end if;
                v_told := @schema.adjourn_start_v1(v_picked);
            end if;
            if v_picked <> '{}' then
                -- Those that can begin at once, unless that is all of them.
                v_first := case when cardinality(v_picked) > greatest(p_concurrency - p_running, 0) then
                    v_picked[1 : greatest(p_concurrency - p_running, 0)] end;
                if v_first is not null and v_more <> '{}' then
                    -- A call that begins at once takes more jobs with it.
                    v_first := v_first || array(
                        select more.id from @schema.adjourn_jobs more where more.id = any(v_more) and more.task_name in (
                            select j.task_name from @schema.adjourn_jobs j where j.id = any(v_first) and j.is_batch
                        )
                    );
                end if;
                -- Those behind a head have not passed limits and pauses.
                if p_follow > 0 and not v_restricted then
                    return query
                    select * from @schema.adjourn_claim_runs_v1(p_worker, v_picked, v_first, p_follow, p_queues);
                else
                    -- A job that was claimed apart, or waited for a worker that knows it, becomes like any other that runs.
                    return query
                    update @schema.adjourn_jobs j
                    set worker_id = p_worker, claim = j.claim + 1, started_at = now(), waiting_queueing_lock = null,
                        claimed_ahead = nullif(j.id <> all(v_first), false), hold = @ready
                    where j.id = any(v_picked)
                    returning j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text, j.scheduled_at::text,
                              j.attempts, j.claim, j.abort_requested, j.enqueued_at::text, j.started_at::text,
                              j.headers::text, j.ready_at::text;
                end if;
            end if;
        end if;
    end if;
    if not (v_promoted || v_back) <@ v_picked then
        -- All hungry workers learn of a job that one of them may not be able to take, or that is due later.
        if exists (
            select from @schema.adjourn_jobs j
            where j.id = any(v_promoted || v_back) and j.worker_id is null and j.hold not in (@ready, @behind)
        ) then
            perform @schema.adjourn_wake_v1(false, p_worker);
        else
            -- With `hold` among the conditions of the inner query, its plan might read all ready jobs.
            perform @schema.adjourn_wake_for_v1(array(
                select left_.queue from (
                    select j.queue, j.hold from @schema.adjourn_jobs j where j.id = any(v_promoted || v_back) and j.worker_id is null offset 0
                ) left_ where left_.hold = @ready
            ), p_worker);
        end if;
    end if;
    if p_called and (p_limit = 0 or v_apart is not null or cardinality(v_picked) >= p_limit) then
        if p_limit = 0 then
            update @schema.adjourn_workers set hungry = false where id = p_worker and hungry;
        end if;
        perform @schema.adjourn_pass_on_v1(p_worker, v_queues);
    end if;

    return query select null::bigint, null::text, null::text, null::integer, null::text, null::text, json_build_object(
        'refused', v_refused, 'held', v_held, 'alive', v_alive, 'repeat', v_repeat, 'place', v_place, 'apart', v_apart,
        'unknown', v_tasks, 'overdue', v_overdue, 'told', v_told, 'floors', v_floors, 'due_in', extract(epoch from v_due - now())
    )::text, null::text, null::integer, null::integer, null::boolean, null::text, null::text, null::text, null::text;
end $$;
