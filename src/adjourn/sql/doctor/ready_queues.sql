-- The queues with jobs that could run now, and the oldest job of each. Jobs of a paused queue or task could not, although they are as they
-- were until a worker looks at them.
select distinct on (ready.queue) ready.queue, ready.id, extract(epoch from now() - ready.since)::double precision as seconds
from @schema.adjourn_oldest_ready_v1(
    null,
    array(select p.name from @schema.adjourn_pauses p where p.scope = 'task' and (p.ends_at is null or p.ends_at > now())),
    @listed
) ready
where ready.queue not in (select p.name from @schema.adjourn_pauses p where p.scope = 'queue' and (p.ends_at is null or p.ends_at > now()))
order by ready.queue, seconds desc
