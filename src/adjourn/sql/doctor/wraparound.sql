select age(d.datfrozenxid) as age, mxid_age(d.datminmxid) as multi_age, current_setting('autovacuum_freeze_max_age')::bigint as freeze_at
from pg_database d where d.datname = current_database()
