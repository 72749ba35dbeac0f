select s.*, age(s.xmin) as xmin_age, age(s.catalog_xmin) as catalog_age,
       pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end, s.restart_lsn) as bytes
from pg_replication_slots s order by s.slot_name limit 100
