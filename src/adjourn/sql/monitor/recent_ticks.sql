-- The last ticks of the schedules, the oldest first, with what came of the job of each; the status is null if it is not stored any more. A job cannot
-- have ended before its tick, so earlier weeks are not looked at.
select s.task_name as task, s.periodic_id, extract(epoch from t.tick)::double precision as tick, t.job_id,
       coalesce(
           (select case when j.worker_id is null then 'todo' else 'doing' end from @schema.adjourn_jobs j where j.id = t.job_id),
           (select f.status from @schema.adjourn_finished_jobs f where f.id = t.job_id and f.finished_at >= t.tick - interval '1 day' limit 1)
       ) as status
from (
    select s.task_name, s.periodic_id, s.recent_ticks, s.recent_job_ids from @schema.adjourn_schedules s
    order by s.task_name, s.periodic_id limit %(schedules)s::integer
) s cross join lateral unnest(s.recent_ticks, s.recent_job_ids) with ordinality t(tick, job_id, place)
-- Somebody who changes these by hand may leave more jobs than ticks.
where t.tick is not null
order by s.task_name, s.periodic_id, t.place
