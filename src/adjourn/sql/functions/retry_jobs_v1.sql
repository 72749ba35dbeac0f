-- Run those of these jobs again that have one of these statuses, as adjourn_retry_by_id_v1 does, at p_at or else in so many seconds, and
-- return their ids. A waiting job is among them only if it waits for its time. Jobs that another transaction has locked stay as they are.
create function @schema.adjourn_retry_jobs_v1(p_ids bigint[], p_statuses text[], p_delay double precision, p_at timestamptz) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_live bigint[] := array(
        select j.id from @schema.adjourn_jobs j
        where j.id = any(p_ids)
          and case when j.worker_id is not null then 'doing' = any(p_statuses)
                   else 'todo' = any(p_statuses) and j.hold = @scheduled and j.scheduled_at > now() end
        order by j.id for update skip locked
    );
    v_finished bigint[] := array(
        select f.id from @schema.adjourn_finished_jobs f where f.id = any(p_ids) and f.status = any(p_statuses)
        order by f.id for update skip locked
    );
begin
    return query
    select again.id from unnest(v_live || v_finished) again(id)
    where @schema.adjourn_retry_by_id_v1(again.id, coalesce(p_at, case when p_delay > 0 then now() + make_interval(secs => p_delay) end), null, null, false, null);
end $$;
