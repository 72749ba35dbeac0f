-- Lock jobs that are to run apart from others, and return their ids, best first. They run in company of each other, which is
-- the smaller the more workers have died with one of them: with a concurrency of C, of C^(2/3) jobs after two deaths, of
-- C^(1/3) after three, and then alone. So when a job fails because too many workers have died, it was alone with the last.
--   p_running: how many such jobs the worker runs already. p_worst: most of the deaths of one of them.
-- Returns also the new p_worst.
create function @schema.adjourn_pick_apart_v1(p_queues text[], p_concurrency integer, p_running integer, p_worst integer)
returns table (ids bigint[], worst integer)
language plpgsql as $$
begin
    with candidate as materialized (
        select best.id, best.priority, best.doubts
        from unnest(@schema.adjourn_apart_queues_v1(p_queues)) q(queue) cross join lateral (
            select j.id, j.priority, j.doubts from @schema.adjourn_jobs j
            where j.hold = @apart and j.queue >= q.queue and j.queue <= q.queue
            order by j.queue, j.priority desc, j.id limit greatest(p_concurrency - p_running, 0) for update skip locked
        ) best
        order by best.priority desc, best.id limit greatest(p_concurrency - p_running, 0)
    ), company as (
        select c.id, c.priority, row_number() over best_first + p_running as size,
               greatest(max(c.doubts) over best_first, p_worst) as worst
        from candidate c window best_first as (order by c.priority desc, c.id)
    )
    select coalesce(array_agg(c.id order by c.priority desc, c.id), '{}'), coalesce(max(c.worst), p_worst) into ids, worst
    from company c
    where c.size <= greatest(1, floor(0.000001 +
        p_concurrency ^ (greatest(@most_losses - 1 - c.worst, 0)::double precision / (@most_losses - @apart_from))
    ));
    return next;
end $$;
