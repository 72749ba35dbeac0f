-- Pause a schedule, or resume it. No tick of it is recorded after the commit of a pause: its row is locked while ticks are deferred. One that has not
-- been due yet is stored, if the caller knows its cron expression. For how long, by whom and why: as adjourn_pause_v1 has it.
-- Returns 'changed', 'same' if it was so already, or 'unknown' if there is no such schedule.
create function @schema.adjourn_pause_schedule_v1(
    p_task_name text, p_periodic_id text, p_cron text, p_timezone text, p_pause boolean,
    p_seconds double precision, p_until timestamptz, p_by text, p_reason text
) returns text
language plpgsql set lock_timeout = '10s' as $$
declare
    v_ends_at timestamptz := coalesce(p_until, now() + make_interval(secs => p_seconds));
    v_changed boolean;
begin
    if p_pause then
        update @schema.adjourn_schedules s set
            paused_at = case when s.pause_ends_at <= now() then now() else coalesce(s.paused_at, now()) end,
            pause_ends_at = v_ends_at, paused_by = p_by, pause_reason = p_reason
        where s.task_name = p_task_name and s.periodic_id = p_periodic_id and (
            s.paused_at is null or s.pause_ends_at is distinct from v_ends_at or p_reason <> coalesce(s.pause_reason, '')
        );
        v_changed := found;
        if not v_changed and p_cron is not null then
            insert into @schema.adjourn_schedules as s (
                task_name, periodic_id, cron, timezone, last_tick, paused_at, pause_ends_at, paused_by, pause_reason
            )
            values (p_task_name, p_periodic_id, p_cron, p_timezone, now(), now(), v_ends_at, p_by, p_reason)
            on conflict (task_name, periodic_id) do update
            set paused_at = now(), pause_ends_at = excluded.pause_ends_at, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
            where s.paused_at is null;
            v_changed := found;
        end if;
    else
        update @schema.adjourn_schedules s set paused_at = null, pause_ends_at = null, paused_by = null, pause_reason = null
        where s.task_name = p_task_name and s.periodic_id = p_periodic_id and s.paused_at is not null;
        v_changed := found;
    end if;
    if v_changed then
        if v_ends_at is not null then
            insert into @schema.adjourn_open_limits (limit_id, limit_key) values (0, 'schedule:' || json_build_array(p_task_name, p_periodic_id));
            perform pg_notify(@channel, '');
        end if;
        return 'changed';
    end if;
    return case when p_cron is not null or exists (
        select from @schema.adjourn_schedules s where s.task_name = p_task_name and s.periodic_id = p_periodic_id
    ) then 'same' else 'unknown' end;
end $$;
