select r.pid, r.application_name as application, r.state, r.sync_state, age(r.backend_xmin) as age,
       extract(epoch from r.replay_lag)::double precision as lag
from pg_stat_replication r order by r.application_name limit 100
