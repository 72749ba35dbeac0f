-- These jobs, whether waiting, running or finished, in the order of their ids.
-- The settings make plans that read by the indexes on ids, even if they are made and kept while a table is empty.
create function @schema.adjourn_read_jobs_v1(p_ids bigint[]) returns table (
    id bigint, queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at timestamptz,
    attempts integer, claim integer, worker_id bigint, abort_requested boolean, enqueued_at timestamptz, started_at timestamptz,
    errors text, status text, finished_at timestamptz, result text, result_expires_at timestamptz, headers text, progress text,
    expires_at timestamptz, max_attempts integer, reason text
)
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
#variable_conflict use_column
begin
    return query
    select j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text, j.scheduled_at,
           j.attempts, j.claim, j.worker_id, j.abort_requested, j.enqueued_at, j.started_at,
           j.errors::text, j.status, j.finished_at, j.result::text, j.result_expires_at, j.headers::text, j.progress::text, j.expires_at, j.max_attempts, j.reason
    from @schema.adjourn_all_jobs j where j.id = any(p_ids) order by j.id;
end $$;
