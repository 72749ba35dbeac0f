-- Delete events whose time is over, and what is remembered of jobs that are gone or have succeeded: of p_limit jobs whose ids are above
-- p_after. Returns the last id, null if there are no more.
create function @schema.adjourn_clear_steps_v1(p_after bigint, p_limit integer) returns bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_ids bigint[];
begin
    if p_after = 0 then
        delete from @schema.adjourn_sent_events where name = any(array(
            select e.name from @schema.adjourn_sent_events e where e.expires_at <= now() order by e.name for update skip locked
        ));
    end if;
    v_ids := array(select distinct s.job_id from @schema.adjourn_steps s where s.job_id > p_after order by s.job_id limit p_limit);
    delete from @schema.adjourn_steps s where s.job_id = any(v_ids)
      -- A run that stores its first step does so before others see its job's row changed.
      and s.at < now() - interval '1 hour'
      and not exists (select from @schema.adjourn_jobs j where j.id = s.job_id offset 0)
      and not exists (select from @schema.adjourn_finished_jobs f where f.id = s.job_id and f.status <> 'succeeded' offset 0);
    return case when cardinality(v_ids) = p_limit then v_ids[p_limit] end;
end $$;
