-- Jobs have ended that others wait for, or whose workflow counts them. Who waits for no one else is released here, and workflows that go on are
-- told, so that a chain needs nobody who places; all other ends are noted, and added up by the worker that places jobs.
--   p_jobs, p_ids, p_statuses, p_is_callers: as adjourn_end_v1 takes them. The status of a job that was cancelled is 'needless' if nothing
--     is wrong because of that: it was to run if others failed, and none has; or it waits for such a job.
-- Returns the ids of jobs that are ready because of it.
create function @schema.adjourn_tell_dependents_v1(
    p_jobs @schema.adjourn_jobs[], p_ids bigint[], p_statuses text[], p_is_callers boolean
) returns bigint[]
language plpgsql as $$
declare
    v_ready bigint[];
    v_large bigint[];
begin
    v_large := array(
        select j.id from unnest(p_jobs) j where j.has_dependents and exists (
            select from @schema.adjourn_dependencies d where d.parent_id = j.id offset @many_dependents
        )
    );
    with ended as materialized (
        select j.id, j.next_id, j.has_dependents, j.workflow_id, ltrim(o.status, '-') as status,
               case ltrim(o.status, '-') when 'succeeded' then null when 'failed' then 'job ' || j.id || ' failed'
                   when 'needless' then 'job ' || j.id || ' was cancelled' else 'job ' || j.id || ' was ' || ltrim(o.status, '-') end as reason
        from unnest(p_ids, p_statuses) o(id, status) join unnest(p_jobs) j on j.id = o.id
    ), told as materialized (
        select target.id, (count(*) filter (where not target.in_run))::integer as ended, (count(*) filter (where target.in_run))::integer as in_run,
               (count(*) filter (where target.status <> 'succeeded'))::integer as failed,
               (count(*) filter (where target.status = 'needless'))::integer as needless, min(target.reason collate "C") as reason
        from (
            select e.next_id as id, false as in_run, e.status, e.reason from ended e where e.next_id is not null
            union all
            select d.child_id, d.in_run, case when d.in_run then 'succeeded' else e.status end, case when not d.in_run then e.reason end
            from ended e join @schema.adjourn_dependencies d on d.parent_id = e.id and d.linked
            where e.has_dependents and e.id <> all(v_large)
        ) target group by target.id
    ), free as materialized (
        -- Nobody but this transaction can know that the others have ended: what they have left to add up would still be pending.
        select j.id from (select * from told order by told.id) t cross join lateral (
            select j.id from @schema.adjourn_jobs j
            where j.id = t.id and j.hold + 0 = @parents and j.pending <= case when j.run_if >= @begun then t.in_run else t.ended end and j.unlinked is not true
              and (j.run_if is null and t.failed = 0 and j.failed_parents = 0 or j.run_if = @all_done or j.run_if >= @begun)
            for update skip locked
        ) j
        where not p_is_callers
    ), released as (
        update @schema.adjourn_jobs j set
            pending = 0, ready_at = now(), hold = case when j.scheduled_at > now() then @scheduled when j.lock is not null then @unplaced else @ready end
        from free where j.id between free.id and free.id returning j.id, j.hold
    ), left_ as materialized (
        select t.* from told t where not exists (select from free where free.id = t.id)
    ), flow as materialized (
        select e.workflow_id as id, count(*) as ended, count(*) filter (where e.status in ('failed', 'aborted')) as failed,
               count(*) filter (where e.status = 'cancelled') as cancelled
        from ended e where e.workflow_id is not null group by e.workflow_id
    ), going_on as materialized (
        -- Where something is noted anyway, it is cheaper to note this as well. What the end of a workflow means is for who adds up.
        select w.id from (select * from flow order by flow.id) f cross join lateral (
            select w.id from @schema.adjourn_workflows w where w.id = f.id and w.remaining > f.ended and not w.is_cancelled for update skip locked
        ) w
        where not p_is_callers and v_large = '{}' and not exists (select from left_)
    ), counted as (
        update @schema.adjourn_workflows w set
            remaining = w.remaining - f.ended, failed = w.failed + f.failed, cancelled = w.cancelled + f.cancelled
        from flow f where w.id between f.id and f.id and exists (select from going_on g where g.id = f.id)
    ), noted as (
        insert into @schema.adjourn_arrivals (job_id, ended, failed, cancelled, needless, in_run, reason)
        select l.id, l.ended, l.failed, 0, l.needless, l.in_run, l.reason from left_ l
        union all
        select f.id, f.ended, f.failed, f.cancelled, 0, 0, null from flow f where not exists (select from going_on g where g.id = f.id)
    ), noted_large as (
        insert into @schema.adjourn_arrivals (job_id, ended, failed, needless, reason, is_parent)
        select e.id, 1, (e.status <> 'succeeded')::integer, (e.status = 'needless')::integer, e.reason, true from ended e where e.id = any(v_large)
    )
    select coalesce(array_agg(released.id), '{}') into v_ready from released;
    perform @schema.adjourn_gate_v1(array(select j.id from @schema.adjourn_jobs j where j.id = any(v_ready) and j.hold + 0 = @ready));
    if p_is_callers then
        perform @schema.adjourn_wake_v1(true, null);
    end if;
    return v_ready;
end $$;
