-- Who waits for a lock on one of our tables, and who is in the way.
select l.pid, a.application_name as application, a.usename::text as role, c.relname::text as table_name,
       extract(epoch from clock_timestamp() - l.waitstart)::double precision as seconds, pg_blocking_pids(l.pid) as blockers
from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid
-- Tables of a database that was made from the same template have the same oids.
where not l.granted and c.relnamespace = to_regnamespace(@schema_name) and a.datname = current_database()
union all
select l.pid, a.application_name, a.usename::text, null, extract(epoch from clock_timestamp() - l.waitstart)::double precision, pg_blocking_pids(l.pid)
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where not l.granted and l.locktype in ('transactionid', 'tuple') and a.datname = current_database()
  and a.application_name like 'adjourn%%' and l.relation is null
limit 50
