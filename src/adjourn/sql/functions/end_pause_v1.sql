-- A queue, a task or a schedule (p_what: as adjourn_place_paused_v1 has it) may be paused until a time. If that has come, it is not paused any more;
-- else, note when it comes. Returns whether it has ended. The caller holds the placing key alone.
create function @schema.adjourn_end_pause_v1(p_what text) returns boolean
language plpgsql as $$
declare
    v_scope text := split_part(p_what, ':', 1);
    v_name text := substr(p_what, length(split_part(p_what, ':', 1)) + 2);
begin
    if v_scope = 'schedule' then
        update @schema.adjourn_schedules set paused_at = null, paused_by = null, pause_reason = null, pause_ends_at = null
        where id = any(array(
            select s.id from @schema.adjourn_schedules s
            where s.task_name = v_name::json ->> 0 and s.periodic_id = v_name::json ->> 1 and s.pause_ends_at <= now() for update skip locked
        ));
        insert into @schema.adjourn_due_rates (limit_id, limit_key, at)
        select 0, p_what, greatest(s.pause_ends_at, now() + interval '1 s') from @schema.adjourn_schedules s
        where s.task_name = v_name::json ->> 0 and s.periodic_id = v_name::json ->> 1 and s.pause_ends_at is not null
        on conflict do nothing;
        return false;
    end if;
    delete from @schema.adjourn_pauses p where p.ctid = any(array(
        -- Who has it locked is about to change it, and notes that.
        select o.ctid from @schema.adjourn_pauses o where o.scope = v_scope and o.name = v_name and o.ends_at <= now() for update skip locked
    ));
    if found then
        perform pg_notify(@channel, '');
        return true;
    else
        insert into @schema.adjourn_due_rates (limit_id, limit_key, at)
        select 0, p_what, case when p.ends_at > now() then p.ends_at else now() + interval '1 s' end from @schema.adjourn_pauses p where p.scope = v_scope and p.name = v_name and p.ends_at is not null
        on conflict do nothing;
    end if;
    return false;
end $$;
