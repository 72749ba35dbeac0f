select current_setting('server_version_num')::integer as number, current_setting('server_version') as version, current_user::text as role,
       current_database()::text as database, pg_backend_pid() as pid, pg_is_in_recovery() as is_standby,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_others,
       extract(epoch from clock_timestamp())::double precision as now
