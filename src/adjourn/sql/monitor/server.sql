select current_database()::text as database, current_user::text as role, extract(epoch from clock_timestamp())::double precision as now,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as clock, pg_is_in_recovery() as is_standby,
       current_setting('server_version') as version
