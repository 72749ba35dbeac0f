-- What waits for something else than a worker: for its time, its lock, or to be placed; no more than @counted entries of each index are
-- counted, and no row is read for that.
select few.kind, count(*) as jobs, count(*) >= @counted as is_capped
from (
    (select 'scheduled' as kind from @schema.adjourn_jobs j where j.hold = @scheduled limit @counted)
    union all
    (select 'lock' from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) limit @counted)
    union all
    (select 'task' from @schema.adjourn_jobs j where j.hold = @unknown limit @counted)
    union all
    (select 'turn' from @schema.adjourn_jobs j where j.hold = @apart limit @counted)
) few group by few.kind order by few.kind
