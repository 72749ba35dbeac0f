-- Sessions that hold the advisory locks with which workers agree on who places jobs, and since when.
select a.pid, a.application_name as application, extract(epoch from now() - a.xact_start)::double precision as seconds
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and (l.classid::bigint << 32) + l.objid::bigint in (@placing_key, @electing_key)
  and l.database = (select d.oid from pg_database d where d.datname = current_database())
