-- These jobs, which the caller has locked and nobody runs, give up their places under limits; notes say so.
create function @schema.adjourn_give_up_v1(p_ids bigint[]) returns void
language plpgsql as $$
begin
    with held as materialized (
        select j.* from @schema.adjourn_jobs j
        where j.id = any(p_ids) and coalesce(j.key_slot, j.task_slot, j.queue_slot) is not null
    ), freed as (
        update @schema.adjourn_jobs j set key_slot = null, task_slot = null, queue_slot = null from held where j.id between held.id and held.id
    )
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    select held.limit_id, held.limit_key from held where held.key_slot is not null
    union
    select l.id, '' from held join @schema.adjourn_limits l on l.scope = 'task' and l.name = held.task_name where held.task_slot is not null
    union
    select l.id, '' from held join @schema.adjourn_limits l on l.scope = 'queue' and l.name = held.queue where held.queue_slot is not null;
end $$;
