-- The ids of the next p_limit jobs (null: all) that match: with one of these statuses, which are either of jobs that live or of jobs
-- that have ended, and p_error in the class or the message of the last error. A null filter matches all.
-- The settings make plans that read by the indexes on ids, even if they are made and kept while a table is empty.
create function @schema.adjourn_find_jobs_v1(
    p_statuses text[], p_queue text, p_task_name text, p_error text, p_finished_after timestamptz, p_finished_before timestamptz,
    p_after_id bigint, p_limit integer
) returns setof bigint
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
begin
    if p_statuses && '{todo, doing}' then
        return query
        select j.id from @schema.adjourn_jobs j
        where j.id > p_after_id and case when j.worker_id is null then 'todo' else 'doing' end = any(p_statuses)
          and (p_queue is null or j.queue = p_queue) and (p_task_name is null or j.task_name = p_task_name)
          and (p_error is null or strpos(concat_ws(': ', j.errors -> -1 ->> 'exception', j.errors -> -1 ->> 'message'), p_error) > 0)
          and p_finished_after is null and p_finished_before is null
        order by j.id limit p_limit;
    elsif 'succeeded' = any(p_statuses) then
        return query
        select f.id from @schema.adjourn_finished_jobs f
        where f.id > p_after_id and f.status = any(p_statuses)
          and (p_queue is null or f.queue = p_queue) and (p_task_name is null or f.task_name = p_task_name)
          and (p_error is null or strpos(concat_ws(': ', f.errors -> -1 ->> 'exception', f.errors -> -1 ->> 'message'), p_error) > 0)
          and (p_finished_after is null or f.finished_at >= p_finished_after)
          and (p_finished_before is null or f.finished_at < p_finished_before)
        order by f.id limit p_limit;
    else
        -- The same, by the index of those that have not succeeded.
        return query
        select f.id from @schema.adjourn_finished_jobs f
        where f.id > p_after_id and f.status <> 'succeeded' and f.status = any(p_statuses)
          and (p_queue is null or f.queue = p_queue) and (p_task_name is null or f.task_name = p_task_name)
          and (p_error is null or strpos(concat_ws(': ', f.errors -> -1 ->> 'exception', f.errors -> -1 ->> 'message'), p_error) > 0)
          and (p_finished_after is null or f.finished_at >= p_finished_after)
          and (p_finished_before is null or f.finished_at < p_finished_before)
        order by f.id limit p_limit;
    end if;
end $$;
