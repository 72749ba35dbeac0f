select p.scope, p.name, extract(epoch from p.paused_at)::double precision as at,
       extract(epoch from now() - p.paused_at)::double precision as seconds, extract(epoch from p.ends_at)::double precision as ends_at,
       extract(epoch from p.ends_at - now())::double precision as seconds_left, p.paused_by as by, p.reason
from @schema.adjourn_pauses p where p.ends_at is null or p.ends_at > now() order by p.scope, p.name limit @listed
