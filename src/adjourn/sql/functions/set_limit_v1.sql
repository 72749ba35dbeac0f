-- Give a queue, a task, or the keys of a name a limit. p_concurrency and p_rates are null for none. What programs declare (p_is_declared) does
-- not change one that was set by hand, but is kept for the time after. Returns whether the limit is another now; null, without waiting, if another
-- transaction has locked one that is declared, or is about to store it.
create function @schema.adjourn_set_limit_v1(
    p_scope text, p_name text, p_concurrency integer, p_rates jsonb, p_is_declared boolean
) returns boolean
language plpgsql set lock_timeout = '10s' as $$
declare
    v_declared jsonb := case when p_is_declared then jsonb_build_object('concurrency', p_concurrency, 'rates', p_rates) end;
    v_old @schema.adjourn_limits;
begin
    select * into v_old from @schema.adjourn_limits l where l.scope = p_scope and l.name = p_name;
    if found and p_is_declared and v_old.declared = v_declared then
        return false;
    end if;
    if p_is_declared then
        -- A commit may be under way.
        perform set_config('lock_timeout', '100', true);
    end if;
    begin
        insert into @schema.adjourn_limits as l (scope, name, concurrency, rates, is_declared, declared)
        values (p_scope, p_name, p_concurrency, p_rates, p_is_declared, v_declared)
        on conflict (scope, name) do update set
            concurrency = case when p_is_declared and not l.is_declared then l.concurrency else p_concurrency end,
            rates = case when p_is_declared and not l.is_declared then l.rates else p_rates end,
            is_declared = p_is_declared and l.is_declared, declared = coalesce(v_declared, l.declared);
    exception when lock_not_available then
        if p_is_declared then
            return null;
        end if;
        raise;
    end;
    return @schema.adjourn_limit_changed_v1(p_scope, p_name, v_old);
end $$;
