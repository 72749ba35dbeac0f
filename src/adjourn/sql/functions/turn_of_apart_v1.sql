-- Whether it is the turn of a job that is to run apart from others: it is in one of these queues (null: all), and no ready
-- job of them is better.
--   p_elected: the worker has to stop running other jobs first. One worker at a time does so.
create function @schema.adjourn_turn_of_apart_v1(p_worker bigint, p_queues text[], p_elected boolean) returns boolean
language plpgsql as $$
declare
    v_apart record;
    v_other record;
begin
    select best.id, best.priority, best.queue into v_apart
    from unnest(@schema.adjourn_apart_queues_v1(p_queues)) q(queue) cross join lateral (
        select j.id, j.priority, j.queue from @schema.adjourn_jobs j
        where j.hold = @apart and j.queue >= q.queue and j.queue <= q.queue order by j.queue, j.priority desc, j.id limit 1
    ) best
    order by best.priority desc, best.id limit 1;
    if not found or p_elected and exists (
        select from @schema.adjourn_workers w
        where w.apart and w.id <> p_worker and not w.dead and w.expires_at > now()
          and (w.queues is null or v_apart.queue = any(w.queues))
    ) then
        return false;
    end if;
    if p_queues is null then
        select coalesce(j.turn, j.id) as turn, j.priority into v_other from @schema.adjourn_jobs j
        where j.hold = @ready and j.worker_id is null order by j.priority desc, coalesce(j.turn, j.id) limit 1;
    else
        select best.turn, best.priority into v_other from unnest(p_queues) q(queue) cross join lateral (
            select coalesce(j.turn, j.id) as turn, j.priority from @schema.adjourn_jobs j
            where j.hold = @ready and j.worker_id is null and j.queue >= q.queue and j.queue <= q.queue
            order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 1
        ) best order by best.priority desc, best.turn limit 1;
    end if;
    return not found or v_other.priority < v_apart.priority
        or v_other.priority = v_apart.priority and v_other.turn > v_apart.id;
end $$;
