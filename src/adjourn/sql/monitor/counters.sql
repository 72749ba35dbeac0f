-- How many rows were ever stored, by the server's statistics: their differences are what was deferred and what has ended.
select coalesce(sum(s.n_tup_ins) filter (where s.relname = 'adjourn_jobs'), 0)::bigint as deferred,
       coalesce(sum(s.n_tup_ins) filter (where s.relname like 'adjourn\_finished\_jobs\_%%'), 0)::bigint as ended
from pg_stat_user_tables s where s.schemaname = @schema_bare
