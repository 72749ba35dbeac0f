-- Declare workers dead that have stopped sending heartbeats, and free their jobs. A job whose workers have died
-- p_max_losses times while they ran it fails, and so does one that has had its max_attempts. The first death may have any cause, so the job goes on as before; after the
-- second it runs apart from others, until it succeeds or its error frees it of suspicion. A job that was claimed ahead may
-- not have begun: this is a loss only if its worker has said with its last heartbeat that it ran this claim of it.
--   p_by, p_how: who has noticed, and how we know, for the notes that each of these workers leaves (adjourn_note_deaths_v1).
-- Returns how many jobs were freed and how many failed, how many workers had them, and the first names and ids of these; and how many
-- workers were declared dead, with what is known of the first of them, as JSON.
create function @schema.adjourn_rescue_v1(p_max_losses integer, p_grace interval, p_by text, p_how text) returns table (
    rescued integer, failed integer, dead_workers integer, worker_names text[], rescued_ids bigint[], failed_ids bigint[],
    died integer, deaths text
)
language plpgsql as $$
declare
    v_dead bigint[];
    v_owners bigint[];
    v_of bigint[];
    v_begun bigint[];
    v_waiting bigint[];
    v_locked bigint[];
    v_ids bigint[];
    v_locks text[];
    v_followers bigint[];
    v_kept text[];
    v_special @schema.adjourn_jobs[];
begin
    rescued := 0; failed := 0; dead_workers := 0; worker_names := '{}'; rescued_ids := '{}'; failed_ids := '{}';
    died := 0; deaths := '[]';
    -- While the server was down no worker could send a heartbeat, so give them time to send one.
    -- (If it seems to start only later, somebody has set its clock back.)
    if now() >= pg_postmaster_start_time() and now() < pg_postmaster_start_time() + p_grace then
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
    -- While somebody locks the table, no worker can claim and finish, so all of them seem to be dead. Do not wait for that: when it
    -- is over, they come back.
    begin
        lock table only @schema.adjourn_jobs in row exclusive mode nowait;
    exception when lock_not_available then
        return next;
        return;
    end;
    update @schema.adjourn_workers w set dead = true where w.id = any(v_dead) and not w.dead;

    v_ids := array(select j.id from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id = any(v_dead));
    v_followers := @schema.adjourn_followers_v1(v_ids, v_dead);
    v_locked := array(
        select j.id from @schema.adjourn_jobs j
        where j.id = any(v_ids || v_followers) and j.worker_id = any(v_dead) order by j.id for update skip locked
    );
    v_kept := array(
        select f.lock from @schema.adjourn_jobs f
        where f.id = any(v_followers) and f.id <> all(v_locked) and f.hold <> @ready and f.worker_id = any(v_dead)
    );
    if v_kept <> '{}' then
        -- A head goes back with all its followers, or stays as it is.
        v_locked := array(
            select j.id from @schema.adjourn_jobs j
            where j.id = any(v_locked) and (j.hold <> @ready or j.lock is null or j.lock <> all(v_kept))
        );
    end if;
    select coalesce(array_agg(j) filter (where j.special), '{}'), coalesce(array_agg(distinct j.worker_id), '{}'),
           coalesce(array_agg(j.id), '{}'), coalesce(array_agg(j.worker_id), '{}')
    into v_special, v_owners, v_locked, v_of from @schema.adjourn_jobs j where j.id = any(v_locked);
    dead_workers := cardinality(v_owners);
    worker_names := array(
        select w.name from @schema.adjourn_workers w where w.id = any(v_owners) order by w.id limit @rescued_names
    );
    v_begun := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_locked) and (j.claimed_ahead is not true or (j.id, j.claim) in (
            select said.id, said.claim from @schema.adjourn_workers w cross join lateral unnest(w.running, w.running_claims) said(id, claim)
            where w.id = any(v_dead)
        ))
    );
    v_ids := array(
        select j.id from @schema.adjourn_jobs j
        where j.id = any(v_begun) and (j.losses + 1 >= p_max_losses or j.attempts >= j.max_attempts)
    );
    with gone as (
        delete from @schema.adjourn_jobs j where j.id = any(v_ids) returning j.*, j as row
    ), stored as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
            abort_requested, enqueued_at, started_at, errors, headers, status, finished_at, special
        )
        select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts + 1, losses + 1, claim, worker_id,
               abort_requested, enqueued_at, started_at,
               @schema.adjourn_with_error_v1(errors, @schema.adjourn_worker_lost_v1(gone.row)), headers, 'failed', now(), case when gone.special then @schema.adjourn_kept_v1(gone.row) end
        from gone
    ), counted as (
        insert into @schema.adjourn_stats (at, level, queue, task_name, outcome, jobs)
        select date_trunc('minute', now()), 0, queue, task_name, 'failed', count(*) from gone group by queue, task_name
    )
    select count(*), array_agg(lock) filter (where lock is not null and hold = @ready), array(select g.id from gone g order by g.id limit @rescued_ids)
    into failed, v_locks, failed_ids from gone;
    if v_locks is not null then
        perform @schema.adjourn_promote_v1(v_locks, v_followers);
    end if;

    v_waiting := array(select unnest(v_locked) except select unnest(v_begun));
    with lost as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, unknown_since = null, doubts = j.doubts + 1, ready_at = now(),
            attempts = j.attempts + 1, losses = j.losses + 1,
            errors = @schema.adjourn_with_error_v1(j.errors, @schema.adjourn_worker_lost_v1(j)),
            hold = case when j.hold = @ready and j.doubts + 1 >= @apart_from then @apart else j.hold end, followers = null
        where j.id = any(v_begun) returning j.id, j.queue, j.task_name
    ), returned as (
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, unknown_since = null, doubts = j.doubts + 1,
            hold = case when j.hold = @ready and j.doubts + 1 >= @apart_from then @apart else j.hold end, followers = null
        where j.id = any(v_waiting) returning j.id, j.queue, j.task_name
    ), freed as (
        select * from lost union all select * from returned
    ), counted as (
        insert into @schema.adjourn_stats (at, level, queue, task_name, outcome, jobs)
        select date_trunc('minute', now()), 0, queue, task_name, 'rescued', count(*) from freed group by queue, task_name
    )
    select count(*), array(select f.id from freed f order by f.id limit @rescued_ids) into rescued, rescued_ids from freed;
    if v_special <> '{}' then
        perform @schema.adjourn_end_v1(v_special, v_ids, array_fill('failed'::text, array[cardinality(v_ids)]), false);
    end if;
    select noted.died, noted.deaths into died, deaths
    from @schema.adjourn_note_deaths_v1(v_dead, v_locked, v_of, v_ids, p_by, p_how) noted;
    -- Jobs that another transaction has locked were skipped. The row of their worker stays until the next round (adjourn_keep_workers_v1).
    delete from @schema.adjourn_workers w where w.id = any(v_dead);
    if rescued + failed > 0 then
        perform @schema.adjourn_wake_v1(false, null);
    end if;
    return next;
end $$;
