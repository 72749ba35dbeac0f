-- Put jobs of a worker back, to be run again. p_back is an array of objects. `id` and `claim` identify the job and the run, and
-- `outcome` is one of
--   'unknown': their worker does not know their task. They wait for one that does, at the same place in their lock;
--   'handed_back': as if they had not been claimed, at the same place in their lock;
--   'retried': they failed, and so have not killed their worker. They run again at `retry_at`, in `retry_in` seconds or, without either, at once.
--     `error` is JSON, added to the job's errors, and `priority`, `queue` and `lock` are new values. A retry gives up its queueing lock, so that it can always be
--     stored. Without a delay or a new lock it stays its lock's head.
--   'suspended': they sleep until `retry_in`, or wait for `event`, without `retry_in` for as long as it takes; or, with `for_jobs`, for the jobs that
--     adjourn_wait_for_jobs_v1 has noted. They have not failed, and give up their lock meanwhile.
-- The followers of a head go back with it: if another transaction has locked one of them, the head stays as it is.
-- The caller has locked the rows of p_locked, and promotes the next jobs; its planner settings apply here, too. Returns the
-- ids of jobs that were put back, the locks that these jobs have left without a head, and the rows, as they were, of the
-- special ones.
create function @schema.adjourn_put_back_v1(p_worker bigint, p_back json, p_locked bigint[])
returns table (ids bigint[], freed text[], moved @schema.adjourn_jobs[])
language plpgsql as $$
declare
    v_mine bigint[] := array(
        select j.id from json_to_recordset(p_back) o(id bigint, claim integer) join @schema.adjourn_jobs j on j.id between o.id and o.id and j.claim = o.claim
        where j.worker_id = p_worker and (o.id in (select unnest(p_locked))) is true
    );
    v_followers bigint[] := array(
        select follower from @schema.adjourn_jobs j cross join unnest(j.followers) follower where j.id = any(v_mine)
    );
    v_behind bigint[];
    v_kept text[];
begin
    if v_followers <> '{}' then
        v_followers := array(
            select f.id from @schema.adjourn_jobs f
            where f.id = any(v_followers) and f.hold <> @ready and f.worker_id = p_worker and f.id <> all(v_mine)
        );
        v_behind := array(
            select f.id from @schema.adjourn_jobs f
            where f.id = any(v_followers) and f.worker_id = p_worker order by f.id for update skip locked
        );
        v_kept := array(
            select f.lock from @schema.adjourn_jobs f where f.id = any(v_followers) and f.id <> all(v_behind) and f.worker_id = p_worker
        );
        update @schema.adjourn_jobs f set worker_id = null, started_at = null where f.id = any(v_behind) and f.lock <> all(v_kept);
        v_mine := array(
            select j.id from @schema.adjourn_jobs j
            where j.id = any(v_mine) and (j.hold <> @ready or j.lock is null or j.lock <> all(v_kept))
        );
    end if;
    with outcome as materialized (
        select o.*, coalesce(o.retry_at, now() + make_interval(secs => o.retry_in)) as told_at
        from json_to_recordset(p_back) o(
            id bigint, claim integer, outcome text, error text,
            retry_at timestamptz, retry_in double precision, priority integer, queue text, lock text, event text, for_jobs boolean
        )
    ), mine as materialized (
        -- One that was asked to end while its run ended runs again at once, which ends it.
        select o.*, j.lock as old_lock, j.hold as old_hold, case when j.special then j end as row,
               case when j.abort_requested and (o.told_at > now() or o.event is not null) then now() else o.told_at end as due_at
        from outcome o join @schema.adjourn_jobs j on j.id between o.id and o.id and j.claim = o.claim
        where (o.id in (select unnest(v_mine))) is true
    ), handed_back as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, unknown_since = null, followers = null,
            hold = case when j.hold = @ready and j.doubts >= @apart_from then @apart else j.hold end
        from mine where mine.outcome = 'handed_back' and j.id between mine.id and mine.id
        returning j.id, null::text as freed
    ), unknown as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, unknown_since = coalesce(j.unknown_since, now()), followers = null,
            hold = case when j.hold = @ready then @unknown else j.hold end
        from mine where mine.outcome = 'unknown' and j.id between mine.id and mine.id
        returning j.id, null::text as freed
    ), retried as (
        update @schema.adjourn_jobs j set
            worker_id = null, attempts = j.attempts + 1, started_at = null, ready_at = now(), scheduled_at = mine.due_at,
            priority = coalesce(mine.priority, j.priority), aged = case when mine.priority is null then j.aged end,
            queue = coalesce(mine.queue, j.queue),
            queue_slot = case when coalesce(mine.queue, j.queue) = j.queue then j.queue_slot end, lock = coalesce(mine.lock, j.lock),
            queueing_lock = null, waiting_queueing_lock = null, losses = 0, doubts = 0, unknown_since = null, followers = null,
            hold = case when mine.due_at > now() then @scheduled when mine.lock is null or mine.lock is not distinct from j.lock then j.hold
                        else @unplaced end,
            errors = @schema.adjourn_with_error_v1(j.errors, mine.error::jsonb)
        from mine where mine.outcome = 'retried' and j.id between mine.id and mine.id
        returning j.id, case when mine.old_hold = @ready and (j.hold <> @ready or j.lock <> mine.old_lock) then mine.old_lock end as freed
    ), suspended as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, scheduled_at = mine.due_at, awaited_event = mine.event,
            losses = 0, doubts = 0, unknown_since = null, followers = null,
            hold = case when mine.for_jobs then @parents else @scheduled end, unlinked = mine.for_jobs,
            -- Those that it has waited for before it began have decided that it runs.
            run_if = case when mine.for_jobs then coalesce(j.run_if, 0) | @begun else j.run_if end,
            pending = case when mine.for_jobs then (
                select count(*) from @schema.adjourn_dependencies d where d.child_id = j.id and d.in_run and not d.linked
            ) else j.pending end
        from mine where mine.outcome = 'suspended' and j.id between mine.id and mine.id
        returning j.id, case when mine.old_hold = @ready then mine.old_lock end as freed
    ), noted as (
        -- It may have been sent since the run has looked for it.
        insert into @schema.adjourn_event_notes (name)
        select mine.event from mine where mine.outcome = 'suspended' and mine.event is not null
    ), to_link as (
        insert into @schema.adjourn_arrivals (job_id, ended, failed)
        select mine.id, 0, 0 from mine where mine.outcome = 'suspended' and mine.for_jobs
    )
    select coalesce(array_agg(back.id), '{}'), coalesce(array_agg(back.freed) filter (where back.freed is not null), '{}'),
           (select array_agg(mine.row) from mine where (mine.row).special)
    into ids, freed, moved from (
        select * from handed_back union all select * from unknown union all select * from retried union all select * from suspended
    ) back;
    return next;
end $$;
