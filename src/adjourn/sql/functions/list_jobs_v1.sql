-- Jobs in the order of their ids, from the one after p_after_id on, p_limit of them (null: all). A null filter matches
-- all. If only live jobs, or only finished ones, can have the status, the other table is not read.
-- The settings make plans that read by the indexes on ids, even if they are made and kept while a table is empty.
create function @schema.adjourn_list_jobs_v1(
    p_id bigint, p_queue text, p_task_name text, p_status text, p_lock text, p_queueing_lock text, p_worker_id bigint,
    p_waits_for text, p_workflow_id bigint, p_error text, p_finished_after timestamptz, p_finished_before timestamptz, p_after_id bigint, p_limit bigint
) returns table (
    id bigint, queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at timestamptz,
    attempts integer, claim integer, worker_id bigint, abort_requested boolean, enqueued_at timestamptz, started_at timestamptz,
    errors text, status text, finished_at timestamptz, result text, result_expires_at timestamptz, headers text, progress text,
    expires_at timestamptz, max_attempts integer, reason text
)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
#variable_conflict use_column
declare
    v_first bigint := coalesce(p_id, 0);
    v_last bigint := coalesce(p_id, @largest_id);
    v_is_live boolean := case when p_waits_for is not null then true when p_finished_after is not null or p_finished_before is not null then false
                              else p_status in ('todo', 'doing') end;
begin
    if p_workflow_id is not null then
        -- The ids of its jobs are close to each other.
        select greatest(w.first_id, v_first), least(w.last_id, v_last) into v_first, v_last
        from @schema.adjourn_workflows w where w.id = p_workflow_id;
        if not found then
            return;
        end if;
    end if;
    -- A query for one id needs an upper bound too, or it would read everything after that id.
    return query
    select j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text, j.scheduled_at,
           j.attempts, j.claim, j.worker_id, j.abort_requested, j.enqueued_at, j.started_at,
           j.errors::text, j.status, j.finished_at, j.result::text, j.result_expires_at, j.headers::text, j.progress::text, j.expires_at, j.max_attempts, j.reason
    from @schema.adjourn_all_jobs j
    where j.id > p_after_id and j.id >= v_first and j.id <= v_last
      and (v_is_live is null or j.is_live = v_is_live)
      and (p_queue is null or j.queue = p_queue)
      and (p_task_name is null or j.task_name = p_task_name)
      and (p_status is null or j.status = p_status)
      and (p_lock is null or j.lock = p_lock)
      and (p_queueing_lock is null or j.queueing_lock = p_queueing_lock)
      and (p_worker_id is null or j.worker_id = p_worker_id)
      and (p_waits_for is null or j.waits_for = p_waits_for)
      and (p_workflow_id is null or j.workflow_id = p_workflow_id)
      and (p_error is null or strpos(concat_ws(': ', j.errors -> -1 ->> 'exception', j.errors -> -1 ->> 'message'), p_error) > 0)
      and (p_finished_after is null or j.finished_at >= p_finished_after)
      and (p_finished_before is null or j.finished_at < p_finished_before)
    order by j.id limit p_limit;
end $$;
