-- Put jobs of a worker back, to be run again. p_back is an array of objects. `id` and `claim` identify the job and the run, and
-- `outcome` is one of
--   'unknown': their worker does not know their task. They wait for one that does, at the same place in their lock;
--   'handed_back': as if they had not been claimed, at the same place in their lock;
--   'retried': they failed, and so have not killed their worker. They run again at `retry_at`, in `retry_in` seconds or, without either, at once.
--     `error` is JSON, added to the job's errors, and `priority`, `queue` and `lock` are new values. A retry gives up its queueing lock, so that it can always be
--     stored. Without a delay or a new lock it stays its lock's head.
-- The caller has locked the rows of p_locked, and promotes the next jobs; its planner settings apply here, too. Returns the
-- ids of jobs that were still the worker's, the locks that these jobs have left without a head, and the rows, as they were, of the
-- special ones.
create function @schema.adjourn_put_back_v1(p_worker bigint, p_back json, p_locked bigint[])
returns table (ids bigint[], freed text[], moved @schema.adjourn_jobs[])
language plpgsql as $$
begin
    with outcome as materialized (
        select o.*, coalesce(o.retry_at, now() + make_interval(secs => o.retry_in)) as due_at
        from json_to_recordset(p_back) o(
            id bigint, claim integer, outcome text, error text,
            retry_at timestamptz, retry_in double precision, priority integer, queue text, lock text
        )
    ), mine as materialized (
        select o.*, j.lock as old_lock, case when j.special then j end as row
        from outcome o join @schema.adjourn_jobs j on j.id = o.id and j.claim = o.claim
        where j.worker_id = p_worker and j.id = any(p_locked)
    ), handed_back as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, unknown_since = null,
            hold = case when j.doubts >= @apart_from then @apart else j.hold end
        from mine where mine.outcome = 'handed_back' and j.id = mine.id
        returning j.id, null::text as freed
    ), unknown as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, hold = @unknown, unknown_since = coalesce(j.unknown_since, now())
        from mine where mine.outcome = 'unknown' and j.id = mine.id
        returning j.id, null::text as freed
    ), retried as (
        update @schema.adjourn_jobs j set
            worker_id = null, attempts = j.attempts + 1, started_at = null, scheduled_at = mine.due_at,
            priority = coalesce(mine.priority, j.priority), queue = coalesce(mine.queue, j.queue),
            queue_slot = case when coalesce(mine.queue, j.queue) = j.queue then j.queue_slot end, lock = coalesce(mine.lock, j.lock),
            queueing_lock = null, waiting_queueing_lock = null, losses = 0, doubts = 0, unknown_since = null,
            hold = case when mine.due_at > now() then @scheduled when mine.lock is null or mine.lock is not distinct from j.lock then @ready
                        else @unplaced end,
            errors = @schema.adjourn_with_error_v1(j.errors, mine.error::jsonb)
        from mine where mine.outcome = 'retried' and j.id = mine.id
        returning j.id, case when j.hold <> @ready or j.lock <> mine.old_lock then mine.old_lock end as freed
    )
    select coalesce(array_agg(back.id), '{}'), coalesce(array_agg(back.freed) filter (where back.freed is not null), '{}'),
           (select array_agg(mine.row) from mine where (mine.row).special)
    into ids, freed, moved from (
        select * from handed_back union all select * from unknown union all select * from retried
    ) back;
    return next;
end $$;
