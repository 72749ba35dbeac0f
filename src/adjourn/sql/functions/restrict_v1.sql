-- Tell the workers whether something is paused, or a queue or task has a limit. A new worker is told so by a trigger, which takes the same lock.
create function @schema.adjourn_restrict_v1() returns void
language plpgsql as $$
declare
    v_restricted boolean;
begin
    perform pg_advisory_xact_lock(@restricting_key);
    v_restricted := @schema.adjourn_is_restricted_v1();
    update @schema.adjourn_workers set restricted = v_restricted where id = any(array(
        select w.id from @schema.adjourn_workers w where w.restricted <> v_restricted order by w.id for update
    ));
    perform pg_notify(@channel, '');
end $$;
