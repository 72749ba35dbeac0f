-- Why jobs of a task, of a queue, or of all of them fail: the errors of those that have failed, by their class, with the newest job of each. Of the
-- newest jobs that have not succeeded, which an index tells, so many are looked at; and of those that have failed among them, the errors of so
-- many are read. `matched` is how many were, `begins_at` how far back they go; `is_all` says that there are no others.
with latest as materialized (
    select f.id, f.finished_at, f.task_name, f.status = 'failed' and (%(queue)s::text is null or f.queue = %(queue)s::text)
           and (%(task)s::text is null or f.task_name = %(task)s::text) as is_meant
    from @schema.adjourn_finished_jobs f where f.status <> 'succeeded' order by f.id desc limit %(look)s::integer
), failed as materialized (
    select l.id, l.finished_at, l.task_name from latest l where l.is_meant order by l.id desc limit %(most)s::integer
), looked as (
    select (select count(*) from latest) as looked, (select count(*) from failed) as matched,
           case when (select count(*) from failed) >= %(most)s::integer then (select min(failed.finished_at) from failed)
                else (select min(latest.finished_at) from latest) end as begins_at
), kind as (
    select failed.task_name, errors.exception, count(*) as jobs, min(failed.finished_at) as first_at, max(failed.finished_at) as last_at,
           max(failed.id) as last_id, count(*) over () as kinds
    from failed cross join lateral (
        select left(f.errors -> -1 ->> 'exception', 200) as exception from @schema.adjourn_finished_jobs f
        where f.id = failed.id and f.finished_at = failed.finished_at offset 0
    ) errors group by failed.task_name, errors.exception order by 3 desc, 5 desc, 1, 2 limit %(listed)s::integer
)
select kind.task_name as failed_task, looked.looked, looked.matched, looked.looked < %(look)s::integer and looked.matched < %(most)s::integer as is_all,
       extract(epoch from looked.begins_at)::double precision as begins_at, kind.kinds, kind.exception, kind.jobs,
       extract(epoch from kind.first_at)::double precision as first_at, extract(epoch from kind.last_at)::double precision as last_at, j.*
from looked left join kind on true left join lateral @schema.adjourn_read_jobs_v1(array[kind.last_id]) j on true
order by kind.jobs desc, kind.last_at desc, kind.task_name, kind.exception
