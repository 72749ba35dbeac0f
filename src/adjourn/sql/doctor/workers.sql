select w.id, w.name, w.queues, w.dead as is_dead, not w.dead and w.expires_at > now() as is_alive,
       extract(epoch from now() - w.last_heartbeat_at)::double precision as silence, cardinality(w.overdue) as overdue
from @schema.adjourn_workers w order by w.id limit 1000
