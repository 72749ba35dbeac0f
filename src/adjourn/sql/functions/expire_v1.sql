-- These jobs have expired and nobody runs them; the caller has locked them. Each ends as cancelled, with an error that says why.
create function @schema.adjourn_expire_v1(p_ids bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    update @schema.adjourn_jobs j set errors = @schema.adjourn_with_error_v1(j.errors, jsonb_build_object(
        'exception', 'adjourn.exceptions.JobExpired',
        'message', 'the job had not begun by ' || (to_json(j.expires_at) #>> '{}'),
        'attempt', j.attempts + 1, 'worker_id', null, 'worker_name', null, 'started_at', null, 'ended_at', now()
    ))
    where j.id = any(p_ids);
    perform @schema.adjourn_cancel_jobs_v1(j.ids, false, 'expiry', j.reasons) from (
        select array_agg(e.id) as ids, array_agg('it had not begun by ' || (to_json(e.expires_at) #>> '{}')) as reasons
        from @schema.adjourn_jobs e where e.id = any(p_ids)
    ) j;
end $$;
