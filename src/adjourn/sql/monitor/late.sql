-- For how long the oldest job of each queue could have run that no worker has made ready.
select unready.queue, extract(epoch from now() - unready.since)::double precision as latency
from @schema.adjourn_oldest_unready_v1(null, '{}', '{}') unready
