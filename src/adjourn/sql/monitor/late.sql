-- For how long jobs could have run that no worker has made ready: those that are due, and those with a free lock that no worker has
-- placed. By queue, among the first ones.
select few.queue, max(extract(epoch from now() - few.since))::double precision as latency
from (
    (select j.queue, j.scheduled_at as since from @schema.adjourn_jobs j
     where j.hold = @scheduled and j.scheduled_at <= now() order by j.scheduled_at limit 1000)
    union all
    select first.queue, greatest(first.enqueued_at, first.scheduled_at, first.ready_at)
    from (select j.* from @schema.adjourn_jobs j where j.hold = @unplaced order by j.id limit 1000) first
    where coalesce(first.scheduled_at <= now(), true)
      and not exists (select from @schema.adjourn_jobs head where head.lock = first.lock and head.lock is not null and head.hold in (@heads))
) few group by few.queue
