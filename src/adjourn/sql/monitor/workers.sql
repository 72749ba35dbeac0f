select w.id, w.name, w.queues, not w.dead and w.expires_at > now() as is_alive, w.hungry as is_idle,
       coalesce(w.details -> 'ending' = 'true', false) as is_ending,
       extract(epoch from now() - w.last_heartbeat_at)::double precision as silence,
       extract(epoch from now() - w.started_at)::double precision as age, cardinality(w.overdue) as overdue
from @schema.adjourn_workers w order by w.id limit @listed
