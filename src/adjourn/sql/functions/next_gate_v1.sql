-- The limit that a job has to pass next, and the key there, if there is one: that of its key, then its task's, then its queue's. So a
-- job that waits for a place in its queue holds one of its key's, and the jobs of one key cannot hold all of the queue's.
create function @schema.adjourn_next_gate_v1(
    p_limit_id integer, p_limit_key text, p_key_slot bigint, p_task_name text, p_task_slot bigint, p_queue text, p_queue_slot bigint
) returns table (limit_id integer, limit_key text)
language sql stable as $$
    select gate.id, gate.key from (
        select 1 as place, l.id, p_limit_key as key from @schema.adjourn_limits l
        where l.id = p_limit_id and p_key_slot is null and (l.concurrency is not null or l.rates is not null)
        union all
        select 2, l.id, '' from @schema.adjourn_limits l
        where l.scope = 'task' and l.name = p_task_name and p_task_slot is null and (l.concurrency is not null or l.rates is not null)
        union all
        select 3, l.id, '' from @schema.adjourn_limits l
        where l.scope = 'queue' and l.name = p_queue and p_queue_slot is null and (l.concurrency is not null or l.rates is not null)
    ) gate order by gate.place limit 1
$$;
