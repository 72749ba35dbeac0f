-- Our tables, and what the server's statistics say of them.
select c.relname::text as name, c.relkind::text as kind, c.reloptions as options, pg_relation_size(c.oid) as bytes, c.reltuples as rows,
       age(c.relfrozenxid) as age, mxid_age(c.relminmxid) as multi_age, s.n_live_tup as live, s.n_dead_tup as dead,
       s.n_tup_upd as updates, s.n_tup_hot_upd as hot_updates, s.autovacuum_count as times,
       extract(epoch from now() - greatest(s.last_autovacuum, s.last_vacuum))::double precision as seconds
from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
where c.relnamespace = to_regnamespace(@schema_name) and c.relkind = 'r' and c.relname like 'adjourn\_%%'
order by c.relname
