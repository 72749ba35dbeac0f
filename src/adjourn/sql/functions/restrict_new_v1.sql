-- A worker registers: tell it what adjourn_restrict_v1 has told the others. Jobs that were set aside because nobody served their queue go on
-- (adjourn_heal_limits_v1), if it does.
create function @schema.adjourn_restrict_new_v1() returns trigger
language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(@restricting_key);
    new.restricted := @schema.adjourn_is_restricted_v1();
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    select distinct 0, 'task:' || j.task_name from @schema.adjourn_jobs j
    where j.hold = @paused and (new.queues is null or j.queue = any(new.queues)) and not exists (
        select from @schema.adjourn_pauses p where p.scope = 'task' and p.name = j.task_name or p.scope = 'queue' and p.name = j.queue
    );
    return new;
end $$;
