-- Lock the best ready jobs of these queues, and return their ids, best first; those of special jobs as negative numbers.
--   With many named queues most are empty, and to look into each costs much. So first the best jobs of all queues are looked
--   through, up to a bound. If too few of them are served, those queues are looked into that have jobs; if these are many,
--   all. (`is true` has the planner make a hash table of the names, whose number it does not know, and no loop.)
create function @schema.adjourn_pick_named_v1(p_queues text[], p_limit integer) returns bigint[]
language plpgsql as $$
declare
    v_queues text[] := p_queues;
    v_ids bigint[];
begin
    if cardinality(p_queues) > @few_queues then
        v_ids := array(
            select best.id from (
                select j.id, j.priority, coalesce(j.turn, j.id) as turn, j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id is null
                order by j.priority desc, coalesce(j.turn, j.id) limit 1000 + 2 * p_limit
            ) best
            where (best.queue in (select unnest(p_queues))) is true order by best.priority desc, best.turn limit 2 * p_limit
        );
        v_ids := array(
            select case when j.special then -j.id else j.id end from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold + 0 = @ready and j.worker_id is null
            order by j.priority desc, coalesce(j.turn, j.id) limit p_limit for update skip locked
        );
        if cardinality(v_ids) = p_limit then
            return v_ids;
        end if;
        with recursive used(queue) as (
            (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
            union all
            select (
                select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > used.queue order by j.queue limit 1
            )
            from used where used.queue is not null
        )
        select coalesce(array_agg(first.queue), '{}') into v_queues from (
            select used.queue from used where used.queue is not null limit @few_used + 1
        ) first;
        if cardinality(v_queues) > @few_used then
            v_queues := p_queues;
        else
            v_queues := array(select queue from unnest(v_queues) queue where (queue in (select unnest(p_queues))) is true);
        end if;
    end if;
    -- With a range of one queue, and an order that begins with the queue, the planner can use only the index by queue. With an
    -- equality it might use the other index, and read through every waiting job of other queues.
    return array(
        select case when best.special then -best.id else best.id end from (select distinct unnest(v_queues)) q(queue) cross join lateral (
            select j.id, j.priority, coalesce(j.turn, j.id) as turn, j.special from @schema.adjourn_jobs j
            where j.hold = @ready and j.worker_id is null and j.queue >= q.queue and j.queue <= q.queue
            order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit p_limit for update skip locked
        ) best
        order by best.priority desc, best.turn limit p_limit
    );
end $$;
