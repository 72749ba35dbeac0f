-- Notify the workers that have asked for it. Each commit that notifies takes a server-wide lock, so busy workers do not
-- ask.
create function @schema.adjourn_wake_v1(p_always boolean, p_except bigint) returns void
language plpgsql as $$
begin
    if p_always or exists (
        select from @schema.adjourn_workers where hungry and not dead and expires_at > now() and id is distinct from p_except
    ) then
        perform pg_notify(@channel, '');
    end if;
end $$;
