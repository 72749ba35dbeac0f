-- The tasks, and queues of each, with jobs that were set aside. Of each task and queue one job is read.
create function @schema.adjourn_paused_kinds_v1() returns table (task_name text, queue text)
language plpgsql as $$
begin
    return query
    with recursive used(task_name, queue) as (
        (select j.task_name, j.queue from @schema.adjourn_jobs j where j.hold = @paused order by j.task_name, j.queue limit 1)
        union all
        select next.task_name, next.queue from used cross join lateral (
            select j.task_name, j.queue from @schema.adjourn_jobs j
            where j.hold = @paused and (j.task_name, j.queue) > (used.task_name, used.queue) order by j.task_name, j.queue limit 1
        ) next
    )
    select used.task_name, used.queue from used;
end $$;
