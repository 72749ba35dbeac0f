-- Remember what a run has done under a name, for later runs of its job; the run is named by p_id, p_claim and p_worker.
--   p_kind: 'step', whose value is p_value; or 'sleep', which ends in p_seconds.
-- A step of an earlier claim, which that run has stored although it had lost the job, is replaced. What is remembered of a sleep stays.
-- Returns 'stored', or 'lost' if the job is no longer this run's; and the seconds that are left of a sleep.
create function @schema.adjourn_store_step_v1(
    p_id bigint, p_claim integer, p_worker bigint, p_kind text, p_name text, p_value text, p_seconds double precision
) returns table (outcome text, seconds double precision)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off set lock_timeout = '10s' as $$
begin
    if not @schema.adjourn_has_steps_v1(p_id, p_claim, p_worker) then
        outcome := 'lost';
        return next;
        return;
    end if;
    insert into @schema.adjourn_steps as s (job_id, kind, name, value, until, is_done, claim)
    values (p_id, p_kind, p_name, p_value::jsonb, now() + make_interval(secs => p_seconds), p_value is not null, p_claim)
    on conflict (job_id, kind, name) do update
    set value = excluded.value, claim = excluded.claim, at = now(), until = coalesce(s.until, excluded.until)
    where s.claim <= excluded.claim
    returning 'stored', extract(epoch from s.until - now()) into outcome, seconds;
    if outcome is null then
        outcome := 'lost';
    end if;
    return next;
end $$;
