-- Sessions with an open transaction, and those that hold back what vacuum may remove. Who may not see a session sees its numbers alone.
select a.pid, a.usename::text as role, a.application_name as application, a.datname::text as database, a.state, a.backend_type as kind,
       extract(epoch from now() - a.xact_start)::double precision as seconds,
       greatest(age(a.backend_xmin), age(a.backend_xid)) as age, a.datname = current_database() as is_here,
       a.wait_event_type = 'Lock' as is_waiting
from pg_stat_activity a
where a.pid <> pg_backend_pid() and coalesce(a.backend_type, 'client backend') in ('client backend', 'walsender', 'parallel worker')
  and (a.xact_start is not null or a.backend_xmin is not null or a.backend_xid is not null)
order by greatest(age(a.backend_xmin), age(a.backend_xid)) desc nulls last, a.xact_start
limit 100
