-- Pause a schedule, or resume it. No tick of it is recorded after the commit of a pause: its row is locked while ticks are deferred. One that has not
-- been due yet is stored, if the caller knows its cron expression.
-- Returns 'changed', 'same' if it was so already, or 'unknown' if there is no such schedule.
create function @schema.adjourn_pause_schedule_v1(p_task_name text, p_periodic_id text, p_cron text, p_timezone text, p_pause boolean) returns text
language plpgsql as $$
begin
    update @schema.adjourn_schedules s set paused_at = case when p_pause then now() end
    where s.task_name = p_task_name and s.periodic_id = p_periodic_id and (s.paused_at is null) = p_pause;
    if found then
        return 'changed';
    end if;
    if p_pause and p_cron is not null then
        insert into @schema.adjourn_schedules as s (task_name, periodic_id, cron, timezone, last_tick, paused_at)
        values (p_task_name, p_periodic_id, p_cron, p_timezone, now(), now())
        on conflict (task_name, periodic_id) do update set paused_at = now() where s.paused_at is null;
        if found then
            return 'changed';
        end if;
    end if;
    return case when p_cron is not null or exists (
        select from @schema.adjourn_schedules s where s.task_name = p_task_name and s.periodic_id = p_periodic_id
    ) then 'same' else 'unknown' end;
end $$;
