-- For tests: decide by the caller's clock, not by the server's, which waiting jobs are due. Returns the highest id of a job.
with due as (
    update @schema.adjourn_jobs set awaited_event = null, hold = case when lock is null then @ready else @unplaced end
    where hold in (@scheduled, @apart, @unknown, @gate) and worker_id is null
      and (%(everything)s::boolean or scheduled_at is null or scheduled_at <= %(until)s::timestamptz)
      -- For an event that has no time, it waits on.
      and (awaited_event is null or scheduled_at is not null)
    returning id
), woken as (
    update @schema.adjourn_steps set until = now() where not is_done and until > now() and job_id in (select id from due)
), early as (
    update @schema.adjourn_jobs set hold = @scheduled
    where hold in (@ready, @behind, @unplaced) and worker_id is null
      and not %(everything)s::boolean and scheduled_at > %(until)s::timestamptz
    returning lock
), noted as (
    insert into @schema.adjourn_headless_locks (lock) select distinct lock from early where lock is not null
)
select coalesce(max(id), 0) as last from @schema.adjourn_jobs
