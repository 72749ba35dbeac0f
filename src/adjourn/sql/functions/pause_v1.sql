-- Pause queues or tasks (p_scope), or resume them. No exchange that begins after this commit claims a job of what is paused. A pause lasts for
-- p_seconds or until p_until (adjourn_end_pause_v1); both null: until it is resumed. p_by and p_reason: who pauses, and why; null if that is not said.
-- Returns the names of those for which that changed something: for one that is paused already, another end or another reason does.
create function @schema.adjourn_pause_v1(
    p_scope text, p_names text[], p_pause boolean, p_seconds double precision, p_until timestamptz, p_by text, p_reason text
) returns setof text
language plpgsql set lock_timeout = '10s' as $$
declare
    v_ends_at timestamptz := coalesce(p_until, now() + make_interval(secs => p_seconds));
    v_changed text[];
begin
    if p_pause then
        with new as (
            insert into @schema.adjourn_pauses as p (scope, name, ends_at, paused_by, reason)
            select distinct p_scope, name, v_ends_at, p_by, p_reason from unnest(p_names) name order by name
            on conflict (scope, name) do update set
                paused_at = case when p.ends_at <= now() then now() else p.paused_at end,
                ends_at = excluded.ends_at, paused_by = excluded.paused_by, reason = excluded.reason
            where p.ends_at is distinct from excluded.ends_at or excluded.reason <> coalesce(p.reason, '')
            returning p.name
        )
        select coalesce(array_agg(new.name), '{}') into v_changed from new;
    else
        with gone as (
            delete from @schema.adjourn_pauses p where p.scope = p_scope and p.name = any(array(
                select l.name from @schema.adjourn_pauses l where l.scope = p_scope and l.name = any(p_names) order by l.name for update
            )) returning p.name
        )
        select coalesce(array_agg(gone.name), '{}') into v_changed from gone;
    end if;
    -- Who reads it notes when the pause ends, and sees to what has changed now.
    insert into @schema.adjourn_open_limits (limit_id, limit_key) select 0, p_scope || ':' || name from unnest(v_changed) name;
    perform @schema.adjourn_wake_v1(true, null);
    return query select unnest(v_changed);
end $$;
