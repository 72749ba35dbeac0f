select count(*) filter (where a.backend_type = 'client backend') as used,
       current_setting('max_connections')::integer as most, current_setting('superuser_reserved_connections')::integer as reserved,
       coalesce(current_setting('reserved_connections', true)::integer, 0) as also_reserved,
       (select r.rolconnlimit from pg_roles r where r.rolname = current_user) as role_limit,
       count(*) filter (where a.usename = current_user) as used_by_role,
       (select d.datconnlimit from pg_database d where d.datname = current_database()) as database_limit,
       count(*) filter (where a.datname = current_database()) as used_by_database
from pg_stat_activity a
