select p.gid, p.owner::text as role, p.database::text as database, extract(epoch from now() - p.prepared)::double precision as seconds,
       age(p.transaction) as age
from pg_prepared_xacts p order by p.prepared limit 100
