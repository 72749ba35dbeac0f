-- Have a workflow end with its last job: the worker that places jobs finds out whether that has ended. Returns whether it was open; null if there
-- is no such workflow.
create function @schema.adjourn_close_workflow_v1(p_id bigint) returns boolean
language plpgsql as $$
begin
    update @schema.adjourn_workflows w set is_open = false where w.id = p_id and w.is_open;
    if not found then
        return (select false from @schema.adjourn_workflows w where w.id = p_id);
    end if;
    insert into @schema.adjourn_arrivals (job_id, ended, failed) values (p_id, 0, 0);
    perform @schema.adjourn_wake_v1(true, null);
    return true;
end $$;
