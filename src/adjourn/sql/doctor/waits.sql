-- Who waits for a lock on one of our tables, and who is in the way: the first of those, with the statement that it has executed last.
select waiting.pid, waiting.application, waiting.role, waiting.table_name, waiting.seconds, waiting.query, waiting.blockers,
       (select to_jsonb(holder) from (
            select a.application_name as application, a.state, left(a.query, 2000) as query
            from pg_stat_activity a where a.pid = waiting.blockers[1]
        ) holder) as holder
from (
    select l.pid, a.application_name as application, a.usename::text as role, c.relname::text as table_name, left(a.query, 2000) as query,
           extract(epoch from clock_timestamp() - l.waitstart)::double precision as seconds, pg_blocking_pids(l.pid) as blockers
    from pg_locks l join pg_class c on c.oid = l.relation join pg_stat_activity a on a.pid = l.pid
    -- Tables of a database that was made from the same template have the same oids.
    where not l.granted and c.relnamespace = to_regnamespace(@schema_name) and a.datname = current_database()
    union all
    select l.pid, a.application_name, a.usename::text, null, left(a.query, 2000),
           extract(epoch from clock_timestamp() - l.waitstart)::double precision, pg_blocking_pids(l.pid)
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where not l.granted and l.locktype in ('transactionid', 'tuple') and a.datname = current_database()
      and a.application_name like 'adjourn%%' and l.relation is null
    limit 50
) waiting
