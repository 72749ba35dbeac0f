-- What of the server, of the partitions and of the schema tells whether trouble is on its way.
select (select max(version) from @schema.adjourn_migrations) as version,
       (select count(*) from (select from @schema.adjourn_finished_jobs_default limit @counted) few) as in_default,
       (select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = to_regclass(@schema_name || '.adjourn_finished_jobs')
          and right(c.relname, 8) ~ '^[0-9]+$' and right(c.relname, 8) > to_char(date_trunc('week', now() at time zone 'UTC'), 'YYYYMMDD')) as ahead,
       case when pg_is_in_recovery() then case
           when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() and exists (select from pg_stat_wal_receiver) then '0'
           else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end end::double precision as lag,
       case when not pg_is_in_recovery() then pg_notification_queue_usage() end::double precision as notify,
       (select max(greatest(age(a.backend_xmin), age(a.backend_xid))) from pg_stat_activity a where a.pid <> pg_backend_pid()) as xmin_age,
       (select coalesce(max(extract(epoch from now() - a.xact_start)), 0)::double precision from pg_stat_activity a
        where a.pid <> pg_backend_pid() and a.datname = current_database() and a.backend_type = 'client backend') as transaction
