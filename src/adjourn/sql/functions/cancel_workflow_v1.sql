-- Cancel a workflow, which does not stay open, and up to p_limit of its jobs that wait. Jobs that another transaction has locked, and jobs that are added later, are
-- cancelled by the worker that places jobs. Returns how many were cancelled; null if there is no such workflow.
create function @schema.adjourn_cancel_workflow_v1(p_id bigint, p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_waiting bigint[];
begin
    update @schema.adjourn_workflows w set is_cancelled = true, is_open = false where w.id = p_id and w.finished_at is null and not w.is_cancelled;
    if not found and not exists (select from @schema.adjourn_workflows w where w.id = p_id) then
        return null;
    end if;
    if not exists (select from @schema.adjourn_workflows w where w.id = p_id and w.is_cancelled) then
        return 0;
    end if;
    v_waiting := array(
        select j.id from @schema.adjourn_jobs j where j.workflow_id = p_id and j.worker_id is null order by j.id limit p_limit
        for update skip locked
    );
    perform @schema.adjourn_cancel_jobs_v1(v_waiting, false, 'workflow', null);
    insert into @schema.adjourn_arrivals (job_id, ended, failed) values (p_id, 0, 0);
    perform @schema.adjourn_wake_v1(true, null);
    return cardinality(v_waiting);
end $$;
