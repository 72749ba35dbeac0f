-- A worker that still has jobs stays, marked as dead, until they are rescued. It may have been notified meanwhile of jobs that it
-- does not take.
with gone as (
    delete from @schema.adjourn_workers w
    where w.id = %(worker_id)s
      and not exists (select from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id = %(worker_id)s)
      and @schema.adjourn_followers_v1('{}', array[%(worker_id)s::bigint]) = '{}'
    returning w.id
), marked as (
    update @schema.adjourn_workers set dead = true where id = %(worker_id)s and not exists (select from gone)
)
select @schema.adjourn_pass_on_v1(w.id, w.queues)::text from @schema.adjourn_workers w where w.id = %(worker_id)s
