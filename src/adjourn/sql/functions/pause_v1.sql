-- Pause queues or tasks (p_scope), or resume them. No exchange that begins after this commit claims a job of what is paused. Returns the names of those
-- for which that changed something.
create function @schema.adjourn_pause_v1(p_scope text, p_names text[], p_pause boolean) returns setof text
language plpgsql as $$
declare
    v_changed text[];
begin
    if p_pause then
        with new as (
            insert into @schema.adjourn_pauses (scope, name) select distinct p_scope, name from unnest(p_names) name order by name
            on conflict do nothing returning name
        )
        select coalesce(array_agg(new.name), '{}') into v_changed from new;
    else
        with gone as (
            delete from @schema.adjourn_pauses p where p.scope = p_scope and p.name = any(p_names) returning p.name
        )
        select coalesce(array_agg(gone.name), '{}') into v_changed from gone;
    end if;
    insert into @schema.adjourn_open_limits (limit_id, limit_key) select 0, p_scope || ':' || name from unnest(v_changed) name;
    perform @schema.adjourn_restrict_v1();
    return query select unnest(v_changed);
end $$;
