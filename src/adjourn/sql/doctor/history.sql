select extract(epoch from now() - min(first.finished_at))::double precision as oldest, sum(greatest(p.reltuples, 0))::bigint as rows
from pg_inherits i join pg_class p on p.oid = i.inhrelid
left join lateral (select f.finished_at from @schema.adjourn_finished_jobs f order by f.id limit 1) first on true
where i.inhparent = to_regclass(@schema_name || '.adjourn_finished_jobs')
