-- What waits for something else than a worker: for its time, its lock, or to be placed; no more than @counted rows of each are read.
select few.kind, count(*) as jobs, count(*) >= @counted as is_capped,
       coalesce(extract(epoch from now() - min(few.since)), 0)::double precision as overdue
from (
    (select 'scheduled' as kind, j.scheduled_at as since from @schema.adjourn_jobs j where j.hold = @scheduled order by j.scheduled_at limit @counted)
    union all
    (select 'lock', j.enqueued_at from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) order by j.lock limit @counted)
    union all
    (select 'task', j.enqueued_at from @schema.adjourn_jobs j where j.hold = @unknown limit @counted)
    union all
    (select 'turn', j.enqueued_at from @schema.adjourn_jobs j where j.hold = @apart limit @counted)
) few group by few.kind order by few.kind
