-- The sessions for which a statement has to wait that wants one of these tables for itself, the oldest transaction first.
-- Postgres shows the transactions of other roles only to members of pg_read_all_stats.
select a.pid, a.usename::text as role, a.application_name, to_json(a.xact_start) #>> '{}' as since
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.pid in (
    select l.pid from pg_locks l
    where l.granted and l.database = (select d.oid from pg_database d where d.datname = current_database())
      and l.relation = any(array(select to_regclass(@schema_name || '.' || quote_ident(name))::oid from unnest(%(tables)s::text[]) name))
)
order by a.xact_start, a.pid
