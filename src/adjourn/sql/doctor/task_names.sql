-- The tasks of jobs that could run now or later, among the first of each kind of wait.
select distinct few.task_name as task from (
    (select j.task_name from @schema.adjourn_jobs j where j.hold = @ready order by j.priority desc, coalesce(j.turn, j.id) limit 2000)
    union all
    (select j.task_name from @schema.adjourn_jobs j where j.hold = @scheduled order by j.scheduled_at limit 2000)
    union all
    (select j.task_name from @schema.adjourn_jobs j where j.hold = @unknown order by j.task_name limit @counted)
) few order by 1 limit 500
