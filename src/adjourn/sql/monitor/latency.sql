-- For how long the oldest job of each queue could have run that does not.
select ready.queue, max(extract(epoch from now() - ready.since))::double precision as latency
from @schema.adjourn_oldest_ready_v1(null, '{}', @listed) ready group by ready.queue order by 2 desc, 1
