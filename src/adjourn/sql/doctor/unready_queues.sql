-- The queues with jobs that could run now and that no worker has made ready, and for how long the oldest could. Those that are paused could not.
select unready.queue, extract(epoch from now() - unready.since)::double precision as seconds
from @schema.adjourn_oldest_unready_v1(
    null,
    array(select p.name from @schema.adjourn_pauses p where p.scope = 'queue' and (p.ends_at is null or p.ends_at > now())),
    array(select p.name from @schema.adjourn_pauses p where p.scope = 'task' and (p.ends_at is null or p.ends_at > now()))
) unready
order by seconds desc, unready.queue limit @listed
