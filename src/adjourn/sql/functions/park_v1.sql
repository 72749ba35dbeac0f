-- Have these jobs, which the caller has locked and nobody runs, wait until what is paused is resumed. They give up their places, so that
-- others of their key go on elsewhere; notes say so.
create function @schema.adjourn_park_v1(p_ids bigint[]) returns void
language plpgsql as $$
begin
    with held as materialized (
        select j.* from @schema.adjourn_jobs j where j.id = any(p_ids)
    ), parked as (
        update @schema.adjourn_jobs j set
            special = true, hold = @paused, gate_id = null, gate_key = null, key_slot = null, task_slot = null, queue_slot = null
        where j.id = any(p_ids)
    )
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    select held.limit_id, held.limit_key from held where held.key_slot is not null
    union
    select l.id, '' from held join @schema.adjourn_limits l on l.scope = 'task' and l.name = held.task_name where held.task_slot is not null
    union
    select l.id, '' from held join @schema.adjourn_limits l on l.scope = 'queue' and l.name = held.queue where held.queue_slot is not null;
end $$;
