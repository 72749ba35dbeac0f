-- Remove a worker that ends; one that still has jobs stays (adjourn_keep_workers_v1). It may have been notified meanwhile of jobs that it
-- does not take.
--   p_is_done: it knows that it has no jobs, so nobody needs to look for them among all that are ready.
create function @schema.adjourn_unregister_v1(p_worker bigint, p_is_done boolean) returns void
language plpgsql as $$
declare
    v_queues text[];
begin
    -- A claim whose answer the worker has not waited for may be under way. It shares a lock on this row until it is committed, and
    -- only statements that begin after that see which jobs it has claimed.
    select w.queues into v_queues from @schema.adjourn_workers w where w.id = p_worker for update;
    if not found then
        return;
    end if;
    if p_is_done then
        update @schema.adjourn_workers set is_done = true where id = p_worker;
    end if;
    delete from @schema.adjourn_workers where id = p_worker;
    perform @schema.adjourn_pass_on_v1(p_worker, v_queues);
end $$;
