-- The workers, with what each has said of itself at its last heartbeat.
select w.id, w.name, w.queues, not w.dead and w.expires_at > now() as is_alive, w.hungry as is_idle,
       extract(epoch from now() - w.last_heartbeat_at)::double precision as silence,
       extract(epoch from w.expires_at - w.last_heartbeat_at)::double precision as patience,
       extract(epoch from now() - w.started_at)::double precision as age, w.overdue, w.running, w.details, w.apart
from @schema.adjourn_workers w order by w.id limit @listed
