-- Run the jobs of a workflow again that have failed, were aborted or have expired, those that were cancelled with the workflow, and those that
-- were cancelled because of any of them. Jobs that have run although others had failed do not run again, nor do those that were cancelled by
-- hand, and those that were cancelled because of these.
-- Returns how many run again; null if there is no such workflow.
create function @schema.adjourn_retry_workflow_v1(p_id bigint) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_flow @schema.adjourn_workflows;
    v_seeds bigint[];
    v_forced bigint[];
begin
    select * into v_flow from @schema.adjourn_workflows w where w.id = p_id;
    if not found then
        return null;
    end if;
    select coalesce(array_agg(f.id), '{}'), coalesce(array_agg(f.id) filter (where f.status <> 'cancelled'), '{}') into v_seeds, v_forced
    from @schema.adjourn_finished_jobs f
    where f.id between v_flow.first_id and v_flow.last_id and f.status <> 'succeeded' and (f.special ->> 'workflow_id')::bigint = p_id
      and (f.status in ('failed', 'aborted') or f.special ->> 'cause' in ('workflow', 'expiry'));
    return cardinality(@schema.adjourn_revive_v1(v_seeds, v_forced, null, null, null, false, null, p_id));
end $$;
