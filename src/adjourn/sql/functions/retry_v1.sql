-- Put jobs of a worker that failed back, to be run again. Returns the ids whose claim was still the worker's.
--   p_at: not before then, null for at once. p_priorities, p_queues: null leaves them. p_relock: take the new lock, which may be null.
-- A retry gives up its queueing lock, so that it can always be stored. Without delay it stays its lock's head.
create function @schema.adjourn_retry_v1(
    p_worker bigint, p_ids bigint[], p_claims integer[], p_errors jsonb[], p_at timestamptz[], p_priorities integer[],
    p_queues text[], p_relock boolean[], p_locks text[]
) returns setof bigint
language plpgsql set lock_timeout = '10s' as $$
declare
    v_row record;
    v_old text;
    v_new text;
    v_hold integer;
begin
    for v_row in
        select * from unnest(p_ids, p_claims, p_errors, p_at, p_priorities, p_queues, p_relock, p_locks)
            u(id, claim, error, at, priority, queue, relock, lock) order by u.id
    loop
        select j.lock into v_old from @schema.adjourn_jobs j
        where j.id = v_row.id and j.claim = v_row.claim and j.worker_id = p_worker for update;
        continue when not found;
        v_new := case when v_row.relock then v_row.lock else v_old end;
        v_hold := case when v_row.at > now() then @scheduled when v_new is null or v_new is not distinct from v_old then @ready else @unplaced end;
        update @schema.adjourn_jobs j set
            worker_id = null, attempts = j.attempts + 1, started_at = null, scheduled_at = v_row.at,
            priority = coalesce(v_row.priority, j.priority), queue = coalesce(v_row.queue, j.queue), lock = v_new,
            queueing_lock = null, waiting_queueing_lock = null, hold = v_hold,
            errors = @schema.adjourn_with_error_v1(j.errors, v_row.error)
        where j.id = v_row.id;
        if v_old is not null and (v_hold <> @ready or v_new is distinct from v_old) then
            perform @schema.adjourn_promote_v1(array[v_old]);
        end if;
        return next v_row.id;
    end loop;
    perform @schema.adjourn_wake_v1(false, p_worker);
end $$;
