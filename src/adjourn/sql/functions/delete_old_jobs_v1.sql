-- Check the next p_limit finished jobs older than p_age, and delete those with one of these statuses and this queue
-- (null: any). Jobs with a result that has not lapsed stay, those that count for a unique key and have not succeeded, and those
-- that another transaction has locked.
-- Returns how many were deleted, and the id to continue after, null if there are no more.
create function @schema.adjourn_delete_old_jobs_v1(
    p_age interval, p_statuses text[], p_queue text, p_after_id bigint, p_limit integer
) returns table (deleted integer, last_id bigint)
language plpgsql set plan_cache_mode = force_custom_plan set enable_seqscan = off set jit = off as $$
declare
    v_before timestamptz := now() - p_age;
    v_looked integer;
    v_from timestamptz;
    v_to timestamptz;
    v_ids bigint[];
begin
    select count(*), max(old.id), min(old.finished_at), max(old.finished_at) into v_looked, last_id, v_from, v_to
    from (
        select f.id, f.finished_at from @schema.adjourn_finished_jobs f
        where f.id > p_after_id and f.finished_at < v_before order by f.id limit p_limit
    ) old;
    -- Sessions that delete, or revive, the same jobs in different orders must not wait for each other.
    v_ids := array(
        select f.id from @schema.adjourn_finished_jobs f
        where f.id > p_after_id and f.id <= last_id and f.finished_at between v_from and v_to
          and f.status = any(p_statuses) and (p_queue is null or f.queue = p_queue) and (f.result_expires_at is null or f.result_expires_at <= now())
          and (f.status = 'succeeded' or not exists (
              select from @schema.adjourn_unique_keys u where u.job_id = f.id and u.keep_until is not null and u.keep_until > now()
          ))
        order by f.id for update skip locked
    );
    delete from @schema.adjourn_finished_jobs f
    where f.id > p_after_id and f.id <= last_id and f.finished_at between v_from and v_to and f.id = any(v_ids);
    get diagnostics deleted = row_count;
    if v_looked < p_limit then
        last_id := null;
    end if;
    return next;
end $$;
