-- A run is about to end because its job waits for these jobs (adjourn_put_back_v1): note whom it waits for. Returns as outcome 'waits';
-- 'ended' if none of them is there any more; 'lost' if the job is no longer the run's; or 'circle', and as culprit one of these jobs that
-- waits for this one, perhaps by way of others, of which the first ten thousand are looked at.
create function @schema.adjourn_wait_for_jobs_v1(p_id bigint, p_claim integer, p_worker bigint, p_ids bigint[])
returns table (outcome text, culprit bigint)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off set lock_timeout = '10s' as $$
declare
    v_ids bigint[];
begin
    -- One at a time: of two jobs that begin to wait for each other, the second finds what the first has noted.
    perform pg_advisory_xact_lock(@waiting_key);
    update @schema.adjourn_jobs j set special = true where j.id = p_id and j.claim = p_claim and j.worker_id = p_worker;
    if not found then
        outcome := 'lost';
        return next;
        return;
    end if;
    with recursive later(id) as (
        select p_id
        union
        select child.id from later cross join lateral (
            select j.next_id as id, false as in_run, true as linked from @schema.adjourn_jobs j where j.id = later.id and j.next_id is not null
            union all
            select d.child_id, d.in_run, d.linked from @schema.adjourn_dependencies d where d.parent_id = later.id
        ) child
        -- One that waits in its run does not wait any more for those for which it has waited before; and what it has noted counts until that is over.
        join @schema.adjourn_jobs w on w.id between child.id and child.id and (
            w.hold + 0 = @parents and (child.in_run or w.run_if is null or w.run_if < @begun) or child.in_run and not child.linked
        )
    ), looked as materialized (
        select later.id from later limit 10000
    )
    select looked.id into culprit from looked where looked.id = any(p_ids) limit 1;
    if culprit is not null then
        outcome := 'circle';
        return next;
        return;
    end if;
    v_ids := array(select j.id from @schema.adjourn_jobs j where j.id = any(p_ids));
    delete from @schema.adjourn_dependencies d where d.child_id = p_id and d.in_run;
    insert into @schema.adjourn_dependencies (parent_id, child_id, in_run, linked) select u.id, p_id, true, false from unnest(v_ids) u(id);
    outcome := case when v_ids = '{}' then 'ended' else 'waits' end;
    return next;
end $$;
