-- End a running job in the caller's transaction, so that it has ended if that commits. The caller may keep the transaction open:
-- this takes no advisory lock and promotes nothing, but leaves a note for the placer, and a notification for the commit.
--   p_transaction: the transaction in which the caller has just asked, as text: in autocommit mode this one is another.
--   p_id, p_claim, p_worker: the run. p_enqueued_at: when the job was stored, so that it is not a job of another database.
--   p_status: 'succeeded', or '-succeeded' to delete the job, unless somebody wants to know how it has ended. p_result, p_ttl: as in adjourn_exchange_v1.
-- Returns 'completed', 'lost' if the job is no longer this run's, or 'autocommit'.
create function @schema.adjourn_complete_v1(
    p_transaction text, p_worker bigint, p_id bigint, p_claim integer, p_enqueued_at timestamptz, p_status text, p_result text,
    p_ttl double precision
) returns text
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_row @schema.adjourn_jobs;
begin
    if p_transaction <> pg_current_xact_id()::text then
        return 'autocommit';
    end if;
    with gone as (
        delete from @schema.adjourn_jobs j
        where j.id = p_id and j.claim = p_claim and j.worker_id = p_worker and j.enqueued_at = p_enqueued_at
        returning j.*, j as row
    ), stored as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
            abort_requested, enqueued_at, started_at, errors, headers, status, finished_at, result, result_expires_at,
            special
        )
        select id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts + 1, losses, claim, worker_id,
               abort_requested, enqueued_at, started_at, errors, headers, ltrim(p_status, '-'), now(), p_result::jsonb, now() + make_interval(secs => p_ttl),
               case when special then @schema.adjourn_kept_v1(row) end
        from gone where left(p_status, 1) <> '-' or special and @schema.adjourn_is_wanted_v1(row)
    ), noted as (
        insert into @schema.adjourn_lapses (expires_at, finished_at, ids)
        select now() + make_interval(secs => p_ttl), now(), array[id] from gone where p_result is not null and p_ttl is not null
    ), freed as (
        insert into @schema.adjourn_headless_locks (lock, followers) select lock, followers from gone where lock is not null and hold = @ready
    )
    select (row).* into v_row from gone;
    if not found then
        return 'lost';
    end if;
    if v_row.special then
        perform @schema.adjourn_end_v1(array[v_row], array[p_id], array[p_status], true);
    end if;
    if v_row.lock is not null or v_row.special then
        perform @schema.adjourn_wake_v1(true, null);
    end if;
    return 'completed';
end $$;
