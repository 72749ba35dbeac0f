-- Run a job again, by hand. A job that has ended comes back with its id (adjourn_revive_v1), a running one is taken from its worker, a
-- waiting one is rescheduled. Returns false if there is no such job.
create function @schema.adjourn_retry_by_id_v1(
    p_id bigint, p_at timestamptz, p_priority integer, p_queue text, p_relock boolean, p_lock text
) returns boolean
language plpgsql as $$
declare
    v_old @schema.adjourn_jobs;
    v_new text;
begin
    select * into v_old from @schema.adjourn_jobs j where j.id = p_id for update;
    if found then
        if v_old.hold = @parents then
            raise exception using errcode = 'ADJ02', message = 'job ' || p_id || case
                when v_old.run_if >= @begun
                then ' waits in its run for other jobs, and goes on when they have ended: cancel those, or it'
                else ' waits for other jobs of its workflow: retry those, or the workflow' end;
        end if;
        v_new := case when p_relock then p_lock else v_old.lock end;
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, ready_at = now(), scheduled_at = p_at, priority = coalesce(p_priority, j.priority),
            attempts = j.attempts + (v_old.worker_id is not null)::integer, queue = coalesce(p_queue, j.queue), lock = v_new,
            queue_slot = case when coalesce(p_queue, j.queue) = j.queue then j.queue_slot end,
            queueing_lock = case when v_old.worker_id is null then j.queueing_lock end,
            -- A retry takes back an earlier request to abort, and forgives the deaths of workers.
            -- Whoever wants it to run now does not mind that it would have expired.
            abort_requested = false, losses = 0, doubts = 0, unknown_since = null, awaited_event = null, followers = null, expires_at = null,
            hold = case when p_at > now() then @scheduled when v_new is null then @ready else @unplaced end
        where j.id = p_id;
        if v_old.lock is not null and v_old.hold in (@heads) then
            insert into @schema.adjourn_headless_locks (lock, followers) values (v_old.lock, v_old.followers);
        end if;
        if v_old.special then
            perform @schema.adjourn_end_v1(array[v_old], null, null, true);
        end if;
    else
        return p_id = any(@schema.adjourn_revive_v1(array[p_id], array[p_id], p_at, p_priority, p_queue, p_relock, p_lock, null));
    end if;
    perform @schema.adjourn_wake_v1(true, null);
    return true;
end $$;
