-- Copy a page of jobs that have ended, in the order of their ids, and set the bookmark. A pass begins where the last one saw
-- the first job that had not ended.
-- Returns how many were copied, and whether the pass is done.
create or replace function @schema.adjourn_procrastinate_history_v1(p_limit integer, p_since timestamptz)
returns table (copied integer, done boolean)
language plpgsql set search_path = pg_catalog, @theirs, pg_temp as $$
declare
    v_state @schema.adjourn_procrastinate;
    v_last bigint;
begin
    select * into v_state from @schema.adjourn_procrastinate for update;
    if v_state.history_floor is null then
        v_state.history_floor := coalesce(
            (select min(j.id) from @theirs.procrastinate_jobs j where j.status in (@live)),
            (select max(j.id) + 1 from @theirs.procrastinate_jobs j), 1
        ) - 1;
    end if;
    v_state.history_bookmark := coalesce(v_state.history_bookmark, 0);
    with page as materialized (
        select j.* from @theirs.procrastinate_jobs j where j.id > v_state.history_bookmark order by j.id limit p_limit for share
    ), ended as (
        select p.*, coalesce(e.finished_at, least(p.scheduled_at, now()), now()) as finished_at, e.started_at, e.deferred_at
        from page p
        left join lateral (
            select max(v.at) filter (where v.type in ('succeeded', 'failed', 'cancelled', 'aborted')) as finished_at,
                   max(v.at) filter (where v.type = 'started') as started_at, min(v.at) filter (where v.type = 'deferred') as deferred_at
            from @theirs.procrastinate_events v where v.job_id = p.id
        ) e on true
        where p.status not in (@live)
    ), wanted as materialized (
        select e.* from ended e
        where (p_since is null or e.finished_at >= p_since) and (e.id > v_state.history_high or not exists (
            select from @schema.adjourn_finished_jobs f
            where f.id = (select m.new_id from @schema.adjourn_migrated_ids m where m.old_id = e.id)
        ) and not exists (
            -- With ids of their own in both systems, this may be another job.
            select from @schema.adjourn_finished_jobs f
            where f.id = e.id and (not v_state.map_ids or f.task_name = e.task_name and f.enqueued_at = e.deferred_at)
        ))
    ), mapped as (
        insert into @schema.adjourn_migrated_ids (old_id, new_id)
        select w.id, nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) from wanted w where v_state.map_ids
        on conflict (old_id) do update set new_id = adjourn_migrated_ids.new_id
        returning old_id, new_id
    ), stored as (
        insert into @schema.adjourn_finished_jobs (
            id, queue, task_name, priority, lock, queueing_lock, args, scheduled_at, attempts, losses, claim, abort_requested, enqueued_at,
            started_at, status, finished_at
        )
        select coalesce(m.new_id, w.id), w.queue_name, w.task_name, w.priority, w.lock, w.queueing_lock, w.args, w.scheduled_at,
               w.attempts, 0, 0, w.status = 'aborted', coalesce(w.deferred_at, w.started_at, w.finished_at), w.started_at,
               w.status::text, w.finished_at
        from wanted w left join mapped m on m.old_id = w.id
        returning 1
    )
    select (select count(*) from stored), (select max(p.id) from page p), (select count(*) from page) < p_limit
    into copied, v_last, done;
    v_state.history_bookmark := coalesce(v_last, v_state.history_bookmark);
    update @schema.adjourn_procrastinate set
        history_high = greatest(v_state.history_high, v_state.history_bookmark),
        history_bookmark = case when done then least(v_state.history_floor, v_state.history_bookmark) else v_state.history_bookmark end,
        history_floor = case when not done then v_state.history_floor end;
    return next;
end $$;
