select a.pid, a.application_name as application, extract(epoch from now() - a.xact_start)::double precision as seconds
from pg_stat_activity a
where a.xact_start is not null and a.pid <> pg_backend_pid() and a.backend_type = 'client backend' and a.datname = current_database()
order by a.xact_start limit 1
