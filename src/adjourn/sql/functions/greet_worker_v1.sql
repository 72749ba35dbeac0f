-- A worker registers: jobs that were set aside because nobody served their queue go on (adjourn_heal_keys_v1), if it does.
create function @schema.adjourn_greet_worker_v1() returns trigger
language plpgsql set enable_seqscan = off as $$
begin
    -- In a new session planning costs more than looking. The order leaves no choice of an index.
    if (select j.task_name from @schema.adjourn_jobs j where j.hold = @paused order by j.task_name, j.queue limit 1) is not null then
        insert into @schema.adjourn_open_limits (limit_id, limit_key)
        select distinct 0, 'task:' || free.task_name from @schema.adjourn_free_kinds_v1() free
        where new.queues is null or free.queue = any(new.queues);
    end if;
    return new;
end $$;
