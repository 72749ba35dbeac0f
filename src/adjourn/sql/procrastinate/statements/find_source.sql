-- The schemas that have Procrastinate's tables, first the one that a program finds which names no schema.
select n.nspname as name, c.oid is not distinct from to_regclass('procrastinate_jobs')::oid as is_found
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = 'procrastinate_jobs' and c.relkind in ('r', 'p')
order by is_found desc, n.nspname
