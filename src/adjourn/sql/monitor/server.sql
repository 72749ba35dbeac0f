-- The server, and what it is. A standby that has replayed all that it receives is not behind; else it is as old as the last commit that it has.
select current_database()::text as database, current_user::text as role, extract(epoch from clock_timestamp())::double precision as now,
       to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as clock, pg_is_in_recovery() as is_standby,
       current_setting('server_version') as version,
       case when pg_is_in_recovery() then case
           when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() and exists (select from pg_stat_wal_receiver) then '0'
           else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end end::double precision as lag
