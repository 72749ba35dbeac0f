-- What became of a job that a run has completed in a transaction of its own: 'stored'; 'rolled_back', so that the run has it still; 'open' if the
-- transaction is; 'lost' if the job is no longer this run's for another reason.
with mine as (
    select id, claim, worker_id from @schema.adjourn_jobs where id = %(job_id)s
), free as (
    select id from @schema.adjourn_jobs
    where id = %(job_id)s and claim = %(claim)s and worker_id = %(worker_id)s for update skip locked
)
select case
    when not exists (select from mine) then 'stored'
    when exists (select from free) then 'rolled_back'
    when exists (select from mine where claim = %(claim)s and worker_id = %(worker_id)s) then 'open'
    else 'lost'
end as outcome
