-- The queues with jobs that wait for a worker that knows their task. Of each queue one job is read.
create function @schema.adjourn_unknown_queues_v1() returns text[]
language plpgsql as $$
begin
    return array(
        with recursive used(queue) as (
            (select j.queue from @schema.adjourn_jobs j where j.hold = @unknown order by j.queue, j.unknown_since limit 1)
            union all
            select (
                select j.queue from @schema.adjourn_jobs j where j.hold = @unknown and j.queue > used.queue order by j.queue, j.unknown_since limit 1
            )
            from used where used.queue is not null
        )
        select used.queue from used where used.queue is not null
    );
end $$;
