-- A worker registers: tell it what adjourn_restrict_v1 has told the others. Jobs that were set aside because nobody served their queue go on
-- (adjourn_heal_keys_v1), if it does.
create function @schema.adjourn_restrict_new_v1() returns trigger
language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(@restricting_key);
    new.restricted := @schema.adjourn_is_restricted_v1();
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    select distinct 0, 'task:' || free.task_name from @schema.adjourn_free_kinds_v1() free where new.queues is null or free.queue = any(new.queues);
    return new;
end $$;
