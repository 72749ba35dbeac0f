-- Store jobs of a workflow, whose ids the caller has reserved, and which waits for which.
--   p_workflow: the workflow. p_jobs: how many jobs it has or gets, with the first of several calls in a transaction, and null with the
--     others. p_is_new: this makes it, with p_name, and perhaps so that it stays open (p_is_open); or jobs are added to it. p_last_id: its last job.
--   p_pending: for how many others each job waits, null for none.
--   p_parents, p_children, p_names, p_places, p_linked: rows of adjourn_dependencies.
-- Returns false, and stores nothing, if jobs are added to a workflow that has ended or is gone. Those that are added to one that was
-- cancelled are never ready: the worker that places jobs cancels them.
create function @schema.adjourn_store_nodes_v1(
    p_workflow bigint, p_jobs bigint, p_is_new boolean, p_is_open boolean, p_name text, p_last_id bigint,
    p_ids bigint[], p_queues text[], p_task_names text[], p_priorities integer[], p_locks text[], p_args text[], p_headers text[],
    p_scheduled_at timestamptz[], p_schedule_in double precision[], p_terms text[], p_pending integer[], p_run_ifs smallint[], p_unlinked boolean[],
    p_nexts bigint[], p_has_dependents boolean[],
    p_parents bigint[], p_children bigint[], p_names text[], p_places integer[], p_linked boolean[], p_own_transaction boolean
) returns boolean
language plpgsql as $$
declare
    v_is_cancelled boolean;
begin
    if p_jobs is not null and p_is_new then
        insert into @schema.adjourn_workflows (id, name, jobs, remaining, is_open, first_id, last_id, finished_at)
        values (
            p_workflow, p_name, p_jobs, p_jobs, p_is_open, p_workflow, p_last_id, case when p_jobs = 0 and not p_is_open then now() end
        );
    elsif p_jobs is not null then
        update @schema.adjourn_workflows w set
            jobs = w.jobs + p_jobs, remaining = w.remaining + p_jobs, last_id = greatest(w.last_id, p_last_id)
        where w.id = p_workflow and w.finished_at is null;
        if not found then
            return false;
        end if;
    end if;
    v_is_cancelled := (select w.is_cancelled from @schema.adjourn_workflows w where w.id = p_workflow);
    insert into @schema.adjourn_jobs (
        id, queue, task_name, priority, lock, args, headers, scheduled_at, special, workflow_id, pending, failed_parents, run_if, unlinked, next_id,
        has_dependents, expires_at, max_attempts, is_batch, hold
    )
    overriding system value
    select u.id, u.queue, u.task_name, u.priority, u.lock, u.args::jsonb, u.headers::jsonb, due.at, true, p_workflow, u.pending,
           0, u.run_if, u.unlinked, u.next_id, u.has_dependents,
           case when u.terms is not null then @schema.adjourn_expiry_v1(
               (u.terms::json ->> 'expires_at')::timestamptz, (u.terms::json ->> 'expires_in')::double precision, due.at
           ) end,
           (u.terms::json ->> 'max_attempts')::integer, (u.terms::json ->> 'is_batch')::boolean,
           case when u.pending > 0 or v_is_cancelled then @parents when due.at > now() then @scheduled
                when u.lock is not null then @unplaced else @ready end
    from unnest(
        p_ids, p_queues, p_task_names, p_priorities, p_locks, p_args, p_headers, p_scheduled_at, p_schedule_in, p_terms, p_pending, p_run_ifs, p_unlinked, p_nexts,
        p_has_dependents
    ) u(id, queue, task_name, priority, lock, args, headers, scheduled_at, schedule_in, terms, pending, run_if, unlinked, next_id, has_dependents)
    cross join lateral (select coalesce(now() + make_interval(secs => u.schedule_in), u.scheduled_at) as at) due;
    if p_terms is not null then
        perform @schema.adjourn_limit_jobs_v1(
            ('[' || array_to_string(p_terms, ',', 'null') || ']')::json, p_ids, array(select * from generate_series(1, cardinality(p_ids)))
        );
    end if;
    if p_parents is not null then
        insert into @schema.adjourn_dependencies (parent_id, child_id, name, place, linked)
        select * from unnest(p_parents, p_children, p_names, p_places, p_linked);
    end if;
    insert into @schema.adjourn_arrivals (job_id, ended, failed)
    select u.id, 0, 0 from unnest(p_ids, p_unlinked) u(id, unlinked) where u.unlinked
    union all
    select p_workflow, 0, 0 where v_is_cancelled;
    if p_own_transaction or v_is_cancelled or true = any(p_unlinked) then
        perform @schema.adjourn_wake_v1(p_own_transaction, null);
    else
        perform @schema.adjourn_wake_for_v1(
            array(select u.queue from unnest(p_queues, p_pending) u(queue, pending) where u.pending is null), null
        );
    end if;
    return true;
end $$;
