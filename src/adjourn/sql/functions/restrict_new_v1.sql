-- A worker registers: tell it what adjourn_restrict_v1 has told the others.
create function @schema.adjourn_restrict_new_v1() returns trigger
language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(@restricting_key);
    new.restricted := @schema.adjourn_is_restricted_v1();
    return new;
end $$;
