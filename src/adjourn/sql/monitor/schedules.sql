-- The schedules of periodic tasks, %(most)s at most, with what came of the job of the last tick: for how long it has waited and for what, or how
-- it has ended. It cannot have ended before its tick, so earlier weeks are not looked at.
select s.task_name as task, s.periodic_id, s.cron, s.timezone, extract(epoch from s.last_tick)::double precision as last_tick,
       s.last_job_id, extract(epoch from s.seen_at)::double precision as seen, extract(epoch from now())::double precision as now,
       extract(epoch from s.paused_at)::double precision as paused_at, extract(epoch from s.pause_ends_at)::double precision as pause_ends_at,
       s.paused_by, s.pause_reason,
       (select extract(epoch from now() - greatest(j.enqueued_at, j.scheduled_at))::double precision from @schema.adjourn_jobs j
        where j.id = s.last_job_id and j.worker_id is null) as job_waits,
       (select v.waits_for from @schema.adjourn_all_jobs v where v.id = s.last_job_id and v.is_live) as waits_for,
       coalesce(
           (select case when j.worker_id is null then 'todo' else 'doing' end from @schema.adjourn_jobs j where j.id = s.last_job_id),
           (select f.status from @schema.adjourn_finished_jobs f
            where f.id = s.last_job_id and f.finished_at >= s.last_tick - interval '1 day' limit 1)
       ) as last_status
from @schema.adjourn_schedules s order by s.task_name, s.periodic_id limit %(most)s::integer
