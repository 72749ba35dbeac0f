-- The replication slots. Servers before 17 do not say since when one is not in use, so that the column is looked up by its name.
select s.*, age(s.xmin) as xmin_age, age(s.catalog_xmin) as catalog_age,
       extract(epoch from now() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)::double precision as inactive_for,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, s.restart_lsn) as bytes
from pg_replication_slots s order by s.slot_name limit 100
