-- Jobs that have ended are run again, by hand. They count as not ended: jobs that still wait for them wait for them once more, and
-- those that were cancelled because of them come back, and wait. Jobs that have run stay as they are.
--   p_seeds, p_forced: as adjourn_family_v1 takes them.
--   p_at, p_priority, p_queue, p_relock, p_lock: what is new of p_forced; null, or false: nothing.
--   p_flow: null, or the workflow that is run again. If another one was cancelled, then its other jobs stay so.
-- Returns the ids of all jobs that run again. What another transaction has locked is waited for.
create function @schema.adjourn_revive_v1(
    p_seeds bigint[], p_forced bigint[], p_at timestamptz, p_priority integer, p_queue text, p_relock boolean, p_lock text, p_flow bigint
) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_nestloop = off set jit = off as $$
declare
    v_is_plain boolean := true;
    v_again bigint[];
    v_pending integer[];
    v_failed integer[];
    v_flows bigint[];
    v_ended bigint[];
    v_live bigint[];
    v_children bigint[];
    v_ended_less integer[];
    v_failed_less integer[];
    v_pardoned bigint[];
    v_pardoned_by bigint[];
    v_locked bigint[];
begin
    -- A plain job has no family.
    if not exists (select from @schema.adjourn_finished_jobs f where f.id = any(p_seeds) and f.special ? 'workflow_id') then
        begin
            v_again := array(select f.id from @schema.adjourn_finished_jobs f where f.id = any(p_seeds) order by f.id for update);
            -- Who begins to wait for one of them locks it (adjourn_link_v1), so this stays as it is.
            if exists (select from @schema.adjourn_dependencies d where d.parent_id = any(v_again)) then
                raise exception using errcode = 'ADJ01';
            end if;
        exception when sqlstate 'ADJ01' then
            v_again := null;
        end;
    end if;
    if v_again = '{}' and p_flow is null then
        return v_again;
    end if;
    while v_again is null loop
        v_is_plain := false;
        select f.flows, f.ended, f.live into v_flows, v_ended, v_live from @schema.adjourn_family_v1(p_seeds, p_forced) f;
        begin
            -- All that is locked stays as it is now. If something was different a moment ago, the locks are given up, and it begins anew.
            perform from @schema.adjourn_finished_jobs f where f.id = any(v_ended) order by f.id for update;
            perform from @schema.adjourn_workflows w where w.id = any(v_flows || p_flow) order by w.id for update;
            v_locked := array(select j.id from @schema.adjourn_jobs j where j.id = any(v_live) order by j.id for update);
            select f.again, f.pending, f.failed, f.children, f.ended_less, f.failed_less, f.pardoned, f.pardoned_by
            into v_again, v_pending, v_failed, v_children, v_ended_less, v_failed_less, v_pardoned, v_pardoned_by
            from @schema.adjourn_family_v1(p_seeds, p_forced) f where f.ended = v_ended and f.live = v_locked;
            if not found then
                raise exception using errcode = 'ADJ01';
            end if;
            v_again := coalesce(v_again, '{}');
        exception when sqlstate 'ADJ01' then
            null;
        end;
    end loop;

    if v_again = '{}' and p_flow is null then
        return v_again;
    end if;
    -- It begins anew, and so does what it waits for in its run.
    delete from @schema.adjourn_dependencies d where d.child_id = any(v_again) and d.in_run;
    if not v_is_plain then
        if exists (select from @schema.adjourn_arrivals a where a.is_parent) then
            -- Those whom the worker that places jobs has not told yet must not be told of it later.
            perform @schema.adjourn_tell_large_v1(true);
        end if;
        -- What came while they were gone.
        delete from @schema.adjourn_arrivals a where (a.job_id in (select unnest(v_again))) is true;
        if exists (select from @schema.adjourn_workflows w where w.id = any(v_flows) and w.is_cancelled and w.id is distinct from p_flow) then
            perform @schema.adjourn_cancel_jobs_v1(array(
                select j.id from @schema.adjourn_workflows w join @schema.adjourn_jobs j on j.workflow_id = w.id
                where w.id = any(v_flows) and w.is_cancelled and w.id is distinct from p_flow and j.worker_id is null
            ), false, 'workflow', null);
        end if;
        update @schema.adjourn_jobs j set pending = j.pending + c.ended, failed_parents = j.failed_parents - c.failed
        from unnest(v_children, v_ended_less, v_failed_less) c(id, ended, failed)
        where j.id between c.id and c.id and j.hold + 0 = @parents;
        update @schema.adjourn_workflows w set
            remaining = w.remaining + c.jobs, failed = w.failed - c.failed, cancelled = w.cancelled - c.cancelled, is_cancelled = false,
            finished_at = case when w.remaining + c.jobs <= 0 then w.finished_at end
        from (
            select (f.special ->> 'workflow_id')::bigint as id, count(*) as jobs, count(*) filter (where f.status in ('failed', 'aborted')) as failed,
                   count(*) filter (where f.status = 'cancelled' and f.special ->> 'cause' is distinct from 'needless') as cancelled
            from @schema.adjourn_finished_jobs f where f.id = any(v_again) and f.special ? 'workflow_id' group by 1
        ) c
        where w.id = c.id and w.id = any(v_flows);
        update @schema.adjourn_dependencies d set forgiven = null where d.parent_id = any(v_again) and d.forgiven;
        if v_pardoned is not null then
            insert into @schema.adjourn_dependencies (parent_id, child_id, forgiven)
            select p.parent_id, p.child_id, true from unnest(v_pardoned, v_pardoned_by) p(parent_id, child_id)
            order by 1, 2 on conflict (parent_id, child_id, in_run) do update set forgiven = true;
        end if;
    end if;

    with gone as (
        delete from @schema.adjourn_finished_jobs f where f.id = any(v_again) returning f.*
    ), known as (
        select g.*, (g.id in (select unnest(p_forced))) is true as is_forced,
               nullif(exists (select from @schema.adjourn_dependencies d where d.parent_id = g.id), false) as has_dependents,
               nullif(exists (select from @schema.adjourn_dependencies d where d.child_id = g.id and not d.linked), false) as unlinked,
               nullif(exists (select from @schema.adjourn_steps s where s.job_id = g.id), false) as has_steps
        from gone g
    ), renewed as (
        select k.*, nullif(w.pending, 0) as waits_for, w.failed,
               case when k.is_forced and p_relock then p_lock else k.lock end as new_lock,
               case when k.is_forced then p_at else k.scheduled_at end as due_at
        from known k left join unnest(v_again, v_pending, v_failed) w(id, pending, failed) on w.id = k.id
    )
    insert into @schema.adjourn_jobs (
        id, queue, task_name, priority, lock, args, scheduled_at, attempts, claim, enqueued_at, errors, headers, special, workflow_id, next_id,
        has_dependents, run_if, pending, failed_parents, unlinked, has_steps, expires_at, max_attempts, is_batch, limit_id, limit_key, ready_at, hold
    )
    overriding system value
    select r.id, case when r.is_forced then coalesce(p_queue, r.queue) else r.queue end, r.task_name,
           case when r.is_forced then coalesce(p_priority, r.priority) else r.priority end, r.new_lock, r.args, r.due_at, r.attempts, r.claim,
           r.enqueued_at, r.errors, r.headers,
           case when r.special ?| array['workflow_id', 'limit_id', 'max_attempts', 'is_batch'] or r.has_dependents or r.has_steps then true end,
           (r.special ->> 'workflow_id')::bigint,
           (select (r.special ->> 'next_id')::bigint where not exists (
               select from @schema.adjourn_dependencies d where d.parent_id = r.id and d.child_id = (r.special ->> 'next_id')::bigint and not d.in_run
           )),
           r.has_dependents, (r.special ->> 'run_if')::smallint, r.waits_for,
           r.failed, r.unlinked, r.has_steps,
           -- Whoever wants it to run now does not mind that it would have expired.
           case when not r.is_forced and (r.special ->> 'expires_at')::timestamptz > now() then (r.special ->> 'expires_at')::timestamptz end,
           (r.special ->> 'max_attempts')::integer, (r.special ->> 'is_batch')::boolean, (r.special ->> 'limit_id')::integer, r.special ->> 'limit_key', now(),
           case when r.waits_for is not null then @parents when r.due_at > now() then @scheduled when r.new_lock is not null then @unplaced
                else @ready end
    from renewed r;
    -- What came while it was gone may have been a note that those it waits for are to be told.
    insert into @schema.adjourn_arrivals (job_id, ended, failed)
    select j.id, 0, 0 from @schema.adjourn_jobs j where j.id = any(v_again) and j.unlinked;
    if p_flow is not null then
        -- Jobs that were added since it was cancelled, and not cancelled yet. The worker that places jobs releases those that wait for no other.
        with added as (
            update @schema.adjourn_jobs j set pending = 0 where j.workflow_id = p_flow and j.hold = @parents and j.pending is null returning j.id
        )
        insert into @schema.adjourn_arrivals (job_id, ended, failed) select added.id, 0, 0 from added;
        update @schema.adjourn_workflows w set is_cancelled = false where w.id = p_flow and w.is_cancelled;
    end if;
    perform @schema.adjourn_gate_v1(array(select j.id from @schema.adjourn_jobs j where j.id = any(v_again) and j.special and j.hold + 0 = @ready));
    perform @schema.adjourn_wake_v1(true, null);
    return v_again;
end $$;
