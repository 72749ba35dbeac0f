-- Run a job again, by hand. A job that has ended comes back with its id, a running one is taken from its worker, a
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
            raise exception using errcode = 'ADJ02', message =
                'job ' || p_id || ' waits for other jobs of its workflow: retry those, or the workflow';
        end if;
        v_new := case when p_relock then p_lock else v_old.lock end;
        update @schema.adjourn_jobs j set
            worker_id = null, started_at = null, scheduled_at = p_at, priority = coalesce(p_priority, j.priority),
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
        with gone as (
            delete from @schema.adjourn_finished_jobs f where f.id = p_id returning f.*
        ), noted as (
            -- Those that waited for it have gone on. Its workflow counts its end once more.
            insert into @schema.adjourn_arrivals (job_id, ended, failed)
            select (g.special ->> 'workflow_id')::bigint, -1, -(g.status in ('failed', 'aborted'))::integer from gone g
            where g.special -> 'workflow_id' is not null
        )
        insert into @schema.adjourn_jobs (id, queue, task_name, priority, lock, args, scheduled_at, attempts, claim, enqueued_at, errors, headers, special, workflow_id, has_steps,
            limit_id, limit_key, max_attempts, is_batch, hold)
            overriding system value
        select g.id, coalesce(p_queue, g.queue), g.task_name, coalesce(p_priority, g.priority),
               case when p_relock then p_lock else g.lock end, g.args, p_at, g.attempts, g.claim, g.enqueued_at, g.errors, g.headers,
               case when g.special ?| array['workflow_id', 'limit_id', 'max_attempts', 'is_batch'] or steps.there then true end, (g.special ->> 'workflow_id')::bigint, steps.there,
               (g.special ->> 'limit_id')::integer, g.special ->> 'limit_key', (g.special ->> 'max_attempts')::integer, (g.special ->> 'is_batch')::boolean,
               case when p_at > now() then @scheduled when (case when p_relock then p_lock else g.lock end) is null then @ready else @unplaced end
        from gone g, lateral (select nullif(exists (select from @schema.adjourn_steps s where s.job_id = g.id), false) as there) steps;
        if not found then
            return false;
        end if;
        if exists (select from @schema.adjourn_jobs j where j.id = p_id and j.special and j.hold = @ready) then
            perform @schema.adjourn_gate_v1(array[p_id]);
        end if;
    end if;
    perform @schema.adjourn_wake_v1(true, null);
    return true;
end $$;
