-- Give a limit that was set by hand the numbers that programs have declared, or none. Returns whether it was set by hand.
create function @schema.adjourn_reset_limit_v1(p_scope text, p_name text) returns boolean
language plpgsql set lock_timeout = '10s' as $$
declare
    v_old @schema.adjourn_limits;
begin
    select * into v_old from @schema.adjourn_limits l
    where l.scope = p_scope and l.name = p_name and not l.is_declared for update;
    if not found then
        return false;
    end if;
    update @schema.adjourn_limits l set
        is_declared = true, concurrency = (l.declared ->> 'concurrency')::integer,
        rates = case when jsonb_typeof(l.declared -> 'rates') = 'array' then l.declared -> 'rates' end
    where l.id = v_old.id;
    perform @schema.adjourn_limit_changed_v1(p_scope, p_name, v_old);
    return true;
end $$;
