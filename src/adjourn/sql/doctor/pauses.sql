select p.scope, p.name, extract(epoch from now() - p.paused_at)::double precision as seconds
from @schema.adjourn_pauses p order by p.scope, p.name
