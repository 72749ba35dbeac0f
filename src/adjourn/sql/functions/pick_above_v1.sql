-- Lock the best ready jobs above floors, and return their ids, best first; those of special jobs as negative numbers.
--   While a transaction keeps dead rows from being removed, each look at the ready jobs walks over all jobs that have been claimed since.
--   A floor is where such a walk ended, so this look begins there, and misses what has become ready below.
--   p_floors: of each queue, or with null as the queue of all, and priority the place of the last job that was found.
--   p_queues: the queues to look into, null for all.
create function @schema.adjourn_pick_above_v1(p_queues text[], p_floors json, p_limit integer) returns bigint[]
language plpgsql as $$
declare
    v_part record;
    v_queue text;
    v_room integer := p_limit;
    v_found bigint[];
    v_ids bigint[] := '{}';
begin
    -- A floor counts for its own priority. The priorities between two floors have none.
    for v_part in
        with floor as (
            select f.queue, f.priority, f.turn, lag(f.priority) over (partition by f.queue order by f.priority desc) as above
            from json_to_recordset(p_floors) f(queue text, priority integer, turn bigint)
            where case when p_queues is null then f.queue is null else f.queue = any(p_queues) end
        )
        select floor.queue, floor.priority as low, floor.priority as high, floor.turn from floor
        union all
        select floor.queue, floor.priority + 1, coalesce(floor.above - 1, @greatest_integer), null from floor
        where floor.priority < coalesce(floor.above - 1, @greatest_integer)
        union all
        select floor.queue, @least_integer, min(floor.priority) - 1, null from floor
        group by floor.queue having min(floor.priority) > @least_integer
        union all
        select q.queue, @least_integer, @greatest_integer, null from unnest(p_queues) q(queue)
        where q.queue not in (select floor.queue from floor)
        order by queue, high desc
    loop
        if v_part.queue is distinct from v_queue then
            v_room := p_limit;
            v_queue := v_part.queue;
        end if;
        continue when v_room = 0;
        if v_queue is null then
            v_found := array(
                select case when j.special then -j.id else j.id end from @schema.adjourn_jobs j
                where j.hold = @ready and j.worker_id is null and j.priority >= v_part.low and j.priority <= v_part.high
                  and coalesce(j.turn, j.id) > coalesce(v_part.turn, 0)
                order by j.priority desc, coalesce(j.turn, j.id) limit v_room for update skip locked
            );
        else
            v_found := array(
                select case when j.special then -j.id else j.id end from @schema.adjourn_jobs j
                where j.hold = @ready and j.worker_id is null and j.queue >= v_queue and j.queue <= v_queue
                  and j.priority >= v_part.low and j.priority <= v_part.high and coalesce(j.turn, j.id) > coalesce(v_part.turn, 0)
                order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit v_room for update skip locked
            );
        end if;
        v_ids := v_ids || v_found;
        v_room := v_room - cardinality(v_found);
    end loop;
    if p_queues is null then
        return v_ids;
    end if;
    return array(
        select found.id from unnest(v_ids) found(id) join @schema.adjourn_jobs j on j.id between abs(found.id) and abs(found.id)
        order by j.priority desc, coalesce(j.turn, j.id) limit p_limit
    );
end $$;
