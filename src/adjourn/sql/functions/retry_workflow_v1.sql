-- Run the jobs of a workflow again that have failed or were aborted, and those that were cancelled for their sake; of a workflow that was
-- cancelled, all that were cancelled. Jobs that have run although others had failed do not run again.
-- Returns how many run again; null if there is no such workflow.
create function @schema.adjourn_retry_workflow_v1(p_id bigint) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_flow @schema.adjourn_workflows;
    v_again bigint[];
    v_more bigint[];
    v_failed integer;
begin
    select * into v_flow from @schema.adjourn_workflows w where w.id = p_id for update;
    if not found then
        return null;
    end if;
    v_again := array(
        select f.id from @schema.adjourn_finished_jobs f
        where f.id between v_flow.first_id and v_flow.last_id and (f.special ->> 'workflow_id')::bigint = p_id
          and (f.status in ('failed', 'aborted') or f.status = 'cancelled' and v_flow.is_cancelled)
        order by f.id for update skip locked
    );
    v_more := v_again;
    while v_more <> '{}' loop
        v_more := array(
            select c.id from @schema.adjourn_finished_jobs c
            where c.status = 'cancelled' and (c.special ->> 'workflow_id')::bigint = p_id and c.id <> all(v_again) and c.id = any(array(
                select d.child_id from @schema.adjourn_dependencies d where d.parent_id = any(v_more)
                union
                select (p.special ->> 'next_id')::bigint from @schema.adjourn_finished_jobs p
                where p.id = any(v_more) and p.special -> 'next_id' is not null
            ))
            order by c.id for update skip locked
        );
        v_again := v_again || v_more;
    end loop;
    -- While the rows of jobs that go on are locked, none of them ends, and what has ended before is not counted twice.
    perform from @schema.adjourn_jobs j
    where j.workflow_id = p_id and (j.next_id = any(v_again) or j.has_dependents)
       or j.id = any(array(select d.parent_id from @schema.adjourn_dependencies d where d.child_id = any(v_again)))
    order by j.id for update;
    delete from @schema.adjourn_arrivals a where a.job_id = any(v_again);
    with gone as (
        delete from @schema.adjourn_finished_jobs f where f.id = any(v_again) returning f.*
    ), edges as materialized (
        select (g.special ->> 'next_id')::bigint as child_id from gone g where g.special -> 'next_id' is not null
        union all
        select d.child_id from @schema.adjourn_dependencies d where d.parent_id = any(v_again)
        union all
        select j.next_id from @schema.adjourn_jobs j where j.workflow_id = p_id and j.next_id = any(v_again)
        union all
        select d.child_id from @schema.adjourn_dependencies d
        where d.child_id = any(v_again) and d.parent_id <> all(v_again)
          and (not d.linked or exists (select from @schema.adjourn_jobs j where j.id = d.parent_id))
    ), waits as materialized (
        select child_id, count(*)::integer as pending from edges group by child_id
    ), recounted as (
        -- Jobs that still wait for them, and have counted them as failed.
        insert into @schema.adjourn_arrivals (job_id, ended, failed)
        select waits.child_id, -waits.pending, -waits.pending from waits
        where waits.child_id <> all(v_again) and exists (select from @schema.adjourn_jobs j where j.id = waits.child_id and j.hold = @parents)
    ), stored as (
        insert into @schema.adjourn_jobs (
            id, queue, task_name, priority, lock, args, attempts, claim, enqueued_at, errors, headers, special, workflow_id, next_id, has_dependents,
            run_if, pending, failed_parents, unlinked, max_attempts, is_batch, limit_id, limit_key, hold
        )
        overriding system value
        select g.id, g.queue, g.task_name, g.priority, g.lock, g.args, g.attempts, g.claim, g.enqueued_at, g.errors, g.headers, true, p_id,
               (g.special ->> 'next_id')::bigint,
               nullif(exists (select from @schema.adjourn_dependencies d where d.parent_id = g.id), false),
               (g.special ->> 'run_if')::smallint, waits.pending, 0,
               nullif(exists (select from @schema.adjourn_dependencies d where d.child_id = g.id and not d.linked), false),
               (g.special ->> 'max_attempts')::integer, (g.special ->> 'is_batch')::boolean, (g.special ->> 'limit_id')::integer, g.special ->> 'limit_key',
               case when waits.pending is not null then @parents when g.lock is not null then @unplaced else @ready end
        from gone g left join waits on waits.child_id = g.id
    )
    select count(*) filter (where g.status in ('failed', 'aborted')) into v_failed from gone g;
    perform @schema.adjourn_gate_v1(array(select j.id from @schema.adjourn_jobs j where j.id = any(v_again) and j.hold = @ready));
    update @schema.adjourn_workflows w set
        remaining = w.remaining + cardinality(v_again), failed = w.failed - v_failed, is_cancelled = false,
        finished_at = case when w.remaining + cardinality(v_again) <= 0 then w.finished_at end
    where w.id = p_id;
    if v_flow.is_cancelled then
        -- Jobs that were added since, and not cancelled yet. The worker that places jobs releases those that wait for no other job.
        with added as (
            update @schema.adjourn_jobs j set pending = 0 where j.workflow_id = p_id and j.hold = @parents and j.pending is null returning j.id
        )
        insert into @schema.adjourn_arrivals (job_id, ended, failed) select added.id, 0, 0 from added;
    end if;
    perform @schema.adjourn_wake_v1(true, null);
    return cardinality(v_again);
end $$;
