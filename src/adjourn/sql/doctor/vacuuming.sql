select count(*) as running, (select count(*) from pg_stat_activity a where a.backend_type = 'autovacuum worker') as workers,
       current_setting('autovacuum_max_workers')::integer as most
from pg_stat_progress_vacuum
