-- A run waits for an event: look whether it has been sent. The first time it is noted until when to wait; p_seconds: null for ever.
-- Returns as outcome 'received', with the event's payload as value; 'timed_out'; 'waits', with the seconds that are left, null for any
-- number; or 'lost' if the job is no longer the run's. The first two are remembered for later runs.
create function @schema.adjourn_look_for_event_v1(p_id bigint, p_claim integer, p_worker bigint, p_name text, p_seconds double precision)
returns table (outcome text, value text, seconds double precision)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off set lock_timeout = '10s' as $$
#variable_conflict use_column
declare
    v_step @schema.adjourn_steps;
    v_payload jsonb;
begin
    if not @schema.adjourn_has_steps_v1(p_id, p_claim, p_worker) then
        outcome := 'lost';
        return next;
        return;
    end if;
    insert into @schema.adjourn_steps as s (job_id, kind, name, until, is_done, claim)
    values (p_id, 'event', p_name, now() + make_interval(secs => p_seconds), false, p_claim)
    on conflict (job_id, kind, name) do update set claim = greatest(s.claim, excluded.claim)
    returning * into v_step;
    if not v_step.is_done then
        v_payload := (select e.payload from @schema.adjourn_sent_events e where e.name = p_name and e.expires_at > now());
        if v_payload is not null or v_step.until <= now() then
            update @schema.adjourn_steps s set value = v_payload, is_done = true, at = now()
            where s.job_id = p_id and s.kind = 'event' and s.name = p_name
            returning * into v_step;
        end if;
    end if;
    outcome := case when not v_step.is_done then 'waits' when v_step.value is null then 'timed_out' else 'received' end;
    value := v_step.value::text;
    seconds := extract(epoch from v_step.until - now());
    return next;
end $$;
