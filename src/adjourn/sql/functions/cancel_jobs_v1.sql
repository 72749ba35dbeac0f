-- Cancel those of these jobs that wait, or delete them, and return their ids. If one was the head of its lock, record the
-- lock, so that the placer gives it another head, and notify workers, one of which places it.
--   p_cause: null if somebody does so by hand; 'jobs': because of others that it waits for, which have
--     not succeeded; 'needless': because none of those has failed, or with one that was cancelled because of that; 'workflow': with its workflow; 'expiry'.
--   p_reasons: null, or for each of p_ids a text that tells people why.
create function @schema.adjourn_cancel_jobs_v1(p_ids bigint[], p_delete boolean, p_cause text, p_reasons text[]) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_waiting bigint[] := @schema.adjourn_lock_jobs_v1(p_ids, false);
    v_headless boolean := exists (
        select from @schema.adjourn_jobs j where j.id = any(v_waiting) and j.lock is not null and j.hold in (@heads)
    );
    v_special @schema.adjourn_jobs[] := array(select j from @schema.adjourn_jobs j where j.id = any(v_waiting) and j.special);
begin
    if p_delete then
        perform @schema.adjourn_release_keys_v1(v_waiting);
    end if;
    return query
    with gone as (
        delete from @schema.adjourn_jobs j where j.id = any(v_waiting) returning j.*, j as row
    ), stored as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
            abort_requested, enqueued_at, started_at, errors, headers, status, finished_at, special
        )
        select gone.id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, worker_id,
               abort_requested, enqueued_at, started_at, errors, headers, 'cancelled', now(),
               case when p_cause is not null then coalesce(@schema.adjourn_kept_v1(gone.row), '{}') || jsonb_build_object(
                        'cause', p_cause, 'reason', coalesce(why.reason, 'workflow ' || gone.workflow_id || ' was cancelled')
                    )
                    when gone.special then @schema.adjourn_kept_v1(gone.row) end
        from gone left join (
            select u.id, u.reason from unnest(p_ids, p_reasons) u(id, reason) where u.reason is not null
        ) why on why.id = gone.id
        where not p_delete
    ), counted as (
        insert into @schema.adjourn_stats (at, level, queue, task_name, outcome, jobs)
        select date_trunc('minute', now()), 0, queue, task_name, 'cancelled', count(*) from gone where not p_delete group by queue, task_name
    ), noted as (
        insert into @schema.adjourn_headless_locks (lock) select distinct lock from gone where lock is not null and hold in (@heads)
    )
    select id from gone;
    if v_special <> '{}' then
        perform @schema.adjourn_end_v1(
            v_special, v_waiting, array_fill(case when p_delete then '-cancelled' when p_cause = 'needless' then p_cause else 'cancelled' end, array[cardinality(v_waiting)]), true
        );
    end if;
    if v_headless then
        perform @schema.adjourn_wake_v1(true, null);
    end if;
end $$;
