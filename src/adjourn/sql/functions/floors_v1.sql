-- Return the floors after a look that has picked these jobs; adjourn_pick_above_v1 describes them. Where no job was picked, the floors
-- from before, p_floors, still hold.
create function @schema.adjourn_floors_v1(p_picked bigint[], p_queues text[], p_floors json) returns json
language sql as $$
    select json_agg(json_build_object('queue', floor.queue, 'priority', floor.priority, 'turn', floor.turn)) from (
        select distinct on (each.queue, each.priority) each.queue, each.priority, each.turn from (
            select case when p_queues is not null then j.queue end as queue, j.priority, max(coalesce(j.turn, j.id)) as turn, 0 as age
            from @schema.adjourn_jobs j where j.id = any(array(select abs(u) from unnest(p_picked) u)) group by 1, 2
            union all
            select f.queue, f.priority, f.turn, 1 from json_to_recordset(p_floors) f(queue text, priority integer, turn bigint)
            where (f.queue is null) = (p_queues is null)
        ) each
        order by each.queue, each.priority desc, each.age limit @most_floors
    ) floor
$$;
