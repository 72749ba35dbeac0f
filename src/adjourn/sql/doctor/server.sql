select current_setting('server_version_num')::integer as number, current_setting('server_version') as version, current_user::text as role,
       current_database()::text as database, pg_backend_pid() as pid, pg_is_in_recovery() as is_standby,
       case when pg_is_in_recovery() then case
           when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() and exists (select from pg_stat_wal_receiver) then '0'
           else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end end::double precision as lag,
       pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_others,
       extract(epoch from clock_timestamp())::double precision as now
