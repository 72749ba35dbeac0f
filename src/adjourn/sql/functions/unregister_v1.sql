-- Remove a worker that ends. One that still has jobs stays, marked as dead, until they are rescued. It may have been notified
-- meanwhile of jobs that it does not take.
create function @schema.adjourn_unregister_v1(p_worker bigint) returns void
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
    if exists (select from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id = p_worker)
        or @schema.adjourn_followers_v1('{}', array[p_worker]) <> '{}' then
        update @schema.adjourn_workers set dead = true where id = p_worker;
    else
        delete from @schema.adjourn_workers where id = p_worker;
    end if;
    perform @schema.adjourn_pass_on_v1(p_worker, v_queues);
end $$;
