select c.relname::text as name, pg_relation_size(c.oid) as bytes, case when c.reltuples < 0 then coalesce(s.n_live_tup, 0) else c.reltuples end::bigint as rows,
       coalesce(s.n_dead_tup, 0) as dead, extract(epoch from now() - greatest(s.last_autovacuum, s.last_vacuum))::double precision as vacuumed
from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
where c.relnamespace = to_regnamespace(@schema_name) and c.relkind = 'r' and c.relname like 'adjourn\_%%'
order by pg_relation_size(c.oid) desc, c.relname limit 20
