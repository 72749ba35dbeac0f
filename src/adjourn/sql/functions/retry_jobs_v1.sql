-- Run those of these jobs again that have one of these statuses, as adjourn_retry_by_id_v1 does, at p_at or else in so many seconds,
-- and return their ids, without those that come back because of them. A waiting job is among them only if it waits for its time. Jobs that another
-- transaction has locked stay as they are.
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
    v_at timestamptz := coalesce(p_at, case when p_delay > 0 then now() + make_interval(secs => p_delay) end);
    v_finished bigint[];
begin
    -- They are locked together with others, all in one order, so now this only asks whether another transaction has them.
    begin
        v_finished := array(
            select f.id from @schema.adjourn_finished_jobs f where f.id = any(p_ids) and f.status = any(p_statuses)
            order by f.id for update skip locked
        );
        raise exception using errcode = 'ADJ01';
    exception when sqlstate 'ADJ01' then
        null;
    end;
    return query
    select again.id from unnest(v_live) again(id) where @schema.adjourn_retry_by_id_v1(again.id, v_at, null, null, false, null);
    if v_finished <> '{}' then
        return query
        select again.id from unnest(@schema.adjourn_revive_v1(v_finished, v_finished, v_at, null, null, false, null, null)) again(id)
        where (again.id in (select unnest(v_finished))) is true;
    end if;
end $$;
