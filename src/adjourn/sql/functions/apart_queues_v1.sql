-- Those of these queues (null: all) with jobs that are to run apart from others. Of each queue that has such jobs one is read.
create function @schema.adjourn_apart_queues_v1(p_queues text[]) returns text[]
language plpgsql as $$
begin
    return array(
        with recursive used(queue) as (
            (select j.queue from @schema.adjourn_jobs j where j.hold = @apart order by j.queue limit 1)
            union all
            select (
                select j.queue from @schema.adjourn_jobs j where j.hold = @apart and j.queue > used.queue order by j.queue limit 1
            )
            from used where used.queue is not null
        )
        select used.queue from used
        where used.queue is not null and (p_queues is null or (used.queue in (select unnest(p_queues))) is true)
    );
end $$;
