-- A limit may have got other numbers than it had in p_old: have its waiting jobs looked at, and workers look. Returns whether it has.
create function @schema.adjourn_limit_changed_v1(p_scope text, p_name text, p_old @schema.adjourn_limits) returns boolean
language plpgsql as $$
declare
    v_new @schema.adjourn_limits;
begin
    select * into v_new from @schema.adjourn_limits l where l.scope = p_scope and l.name = p_name;
    if (v_new.concurrency, v_new.rates) is not distinct from (p_old.concurrency, p_old.rates) then
        return v_new.is_declared is distinct from p_old.is_declared;
    end if;
    perform @schema.adjourn_note_limit_v1(v_new.id);
    perform @schema.adjourn_wake_v1(true, null);
    return true;
end $$;
