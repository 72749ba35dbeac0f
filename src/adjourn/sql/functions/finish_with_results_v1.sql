-- Store outcomes as adjourn_exchange_v1 does, with results. It has a text of its own, because the columns of results would
-- cost those who have none. A job with a result is kept. p_locked: null in the exchange's first turn,
-- then the rows that it has locked. The caller promotes the next jobs; its planner settings apply here, too.
-- Returns the ids of the jobs that have ended, the locks of those that were heads, the followers of these, and the rows of those that
-- are special.
create function @schema.adjourn_finish_with_results_v1(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_statuses text[], p_errors text[], p_results text[],
    p_ttls double precision[], p_locked bigint[]
) returns table (ids bigint[], freed text[], followers bigint[], ends @schema.adjourn_jobs[])
language plpgsql as $$
begin
    with outcome as materialized (
        select * from unnest(p_ids, p_claims, p_statuses, p_errors, p_results, p_ttls) o(id, claim, status, error, result, ttl)
    ), gone as (
        delete from @schema.adjourn_jobs j using outcome
        where j.id between outcome.id and outcome.id and j.claim = outcome.claim and j.worker_id = p_worker
          and case when p_locked is null then j.xmax = j.xmin or j.xmax = '0'::xid else j.id = any(p_locked) end
        returning j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args, j.scheduled_at, j.attempts, j.losses, j.claim,
                  j.worker_id, j.abort_requested, j.enqueued_at, j.started_at, j.errors, j.headers, outcome.status, outcome.error,
                  outcome.result, outcome.ttl, j.hold, j.followers, j.special, case when j.special then j end as row
    ), stored as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
            abort_requested, enqueued_at, started_at, errors, headers, status, finished_at, result, result_expires_at,
            special
        )
        select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts + 1, losses, claim, worker_id,
               abort_requested, enqueued_at, started_at,
               @schema.adjourn_with_error_v1(errors, error::jsonb), headers, ltrim(status, '-'), now(), result::jsonb, now() + make_interval(secs => ttl),
               case when special then @schema.adjourn_kept_v1(row) end
        from gone where left(status, 1) <> '-' or special and @schema.adjourn_is_wanted_v1(row)
    ), noted as (
        insert into @schema.adjourn_lapses (expires_at, finished_at, ids)
        select now() + make_interval(secs => ttl), now(), array_agg(id) from gone where result is not null and ttl is not null group by ttl
    )
    select coalesce(array_agg(gone.id), '{}'), coalesce(array_agg(gone.lock) filter (where gone.lock is not null and gone.hold = @ready), '{}'),
           string_to_array(string_agg(array_to_string(gone.followers, ','), ','), ',')::bigint[], array_agg(gone.row) filter (where gone.special)
    into ids, freed, followers, ends from gone;
    return next;
end $$;
