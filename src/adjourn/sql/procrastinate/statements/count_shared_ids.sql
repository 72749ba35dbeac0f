-- Jobs of ours with ids that other jobs of theirs have, or will have. One that a migration has copied, which was rolled back
-- then, is the same job.
select count(*) as jobs, min(a.id) as lowest
from @schema.adjourn_all_jobs a left join @theirs.procrastinate_jobs j on j.id = a.id
where a.id between %(their_last)s + 1 and %(first_id)s - 1
   or j.id is not null and (j.task_name <> a.task_name or a.enqueued_at is distinct from (
       select min(v.at) from @theirs.procrastinate_events v where v.job_id = j.id and v.type = 'deferred'
   ))
