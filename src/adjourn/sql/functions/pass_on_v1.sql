-- A worker that was notified cannot take more: if jobs of its queues (null: all) are left, notify another worker.
create function @schema.adjourn_pass_on_v1(p_worker bigint, p_queues text[]) returns void
language plpgsql as $$
declare
    v_queue text;
begin
    if not exists (
        select from @schema.adjourn_workers where hungry and not dead and expires_at > now() and id <> p_worker
    ) then
        return;
    end if;
    if exists (select from @schema.adjourn_jobs where hold = @unplaced) then
        perform @schema.adjourn_wake_v1(false, p_worker);
    elsif p_queues is null then
        select j.queue into v_queue from @schema.adjourn_jobs j
        where j.hold = @ready and j.worker_id is null order by j.priority desc, coalesce(j.turn, j.id) limit 1;
    else
        select best.queue into v_queue from unnest(p_queues) q(queue) cross join lateral (
            select j.queue, j.priority, coalesce(j.turn, j.id) as turn from @schema.adjourn_jobs j
            where j.hold = @ready and j.worker_id is null and j.queue >= q.queue and j.queue <= q.queue
            order by j.queue, j.priority desc, coalesce(j.turn, j.id) limit 1
        ) best order by best.priority desc, best.turn limit 1;
    end if;
    if v_queue is not null then
        perform @schema.adjourn_wake_for_v1(array[v_queue], p_worker);
    end if;
end $$;
