-- Mark those of these jobs that wait or run, so that their ends are told on the channel of ends. Return those that are not marked:
-- the ones that have ended or were deleted, and the ones that other transactions have locked. Those are not waited for: they may
-- stay locked for long, so the caller asks again. Ids may be those of workflows, too, which are marked in the same way.
create function @schema.adjourn_watch_jobs_v1(p_ids bigint[]) returns table (id bigint, has_ended boolean)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
declare
    v_queues text[];
begin
    with marked as (
        update @schema.adjourn_jobs j set waited = true, special = true where j.id = any(array(
            select w.id from @schema.adjourn_jobs w where w.id = any(p_ids) and w.waited is not true order by w.id for update skip locked
        )) returning j.queue, j.hold, j.worker_id
    )
    select array_agg(marked.queue) into v_queues from marked where marked.hold = @ready and marked.worker_id is null;
    if v_queues is not null then
        -- While they were locked, workers may have passed them over: those whom their arrival has just woken, too.
        perform @schema.adjourn_wake_for_v1(v_queues, null);
    end if;
    update @schema.adjourn_workflows f set waited = true where f.id = any(array(
        select w.id from @schema.adjourn_workflows w where w.id = any(p_ids) and w.finished_at is null and w.waited is not true
        order by w.id for update skip locked
    ));
    -- This statement sees what was committed since: a job that a worker has just ended was skipped above.
    return query
    select u.id, j.id is null and w.id is null from (select distinct unnest(p_ids)) u(id)
    left join @schema.adjourn_jobs j on j.id between u.id and u.id
    left join @schema.adjourn_workflows w on w.id between u.id and u.id and w.finished_at is null
    where j.waited is not true and w.waited is not true;
end $$;
