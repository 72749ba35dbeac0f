-- Change those of these jobs that wait, and only what is named: a null priority or queue stays. Returns their ids.
--   p_reschedule: they become due at p_at; null: now. Jobs that wait for other jobs, or for an event, are left out then.
-- Jobs whose lock is still with Procrastinate are left out.
create function @schema.adjourn_change_jobs_v1(
    p_ids bigint[], p_priority integer, p_queue text, p_reschedule boolean, p_at timestamptz
) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_waiting bigint[] := @schema.adjourn_lock_jobs_v1(p_ids, false);
    v_old @schema.adjourn_jobs[] := array(
        select j from @schema.adjourn_jobs j
        where j.id = any(v_waiting) and j.hold <> @held and not (p_reschedule and (j.hold = @parents or j.awaited_event is not null))
        order by j.id
    );
    v_special @schema.adjourn_jobs[];
begin
    if v_old = '{}' then
        return;
    end if;
    update @schema.adjourn_jobs j set
        priority = coalesce(p_priority, j.priority), queue = coalesce(p_queue, j.queue),
        scheduled_at = case when p_reschedule then p_at else j.scheduled_at end,
        queue_slot = case when coalesce(p_queue, j.queue) = j.queue then j.queue_slot end,
        -- What the order of a lock depends on is decided by the worker that places, and what a limit has to say by adjourn_move_v1.
        hold = case when j.hold = @parents then j.hold
                    when case when p_reschedule then p_at > now() else j.hold = @scheduled end is true then @scheduled
                    when j.lock is not null then @unplaced
                    when j.unknown_since is not null then @unknown
                    when j.doubts >= @apart_from then @apart
                    else @ready
               end
    where j.id in (select o.id from unnest(v_old) o);
    insert into @schema.adjourn_headless_locks (lock)
    select distinct o.lock from unnest(v_old) o where o.lock is not null and o.hold in (@heads);
    v_special := array(select o from unnest(v_old) o where o.special and o.hold <> @parents);
    if v_special <> '{}' then
        perform @schema.adjourn_end_v1(v_special, null, null, true);
    end if;
    perform @schema.adjourn_wake_v1(true, null);
    return query select o.id from unnest(v_old) o;
end $$;
