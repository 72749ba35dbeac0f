-- Foreign keys of others to jobs.
select c.conrelid::regclass::text as table, c.conname as name,
       case c.confdeltype when 'c' then 'cascade' when 'n' then 'set null' when 'd' then 'set default' when 'r' then 'restrict'
            else 'no action' end as on_delete
from pg_constraint c join pg_class r on r.oid = c.conrelid
where c.contype = 'f' and c.confrelid = (@theirs_name || '.procrastinate_jobs')::regclass
  and not (r.relnamespace = @theirs_name::regnamespace and r.relname in ('procrastinate_events', 'procrastinate_periodic_defers'))
order by 1, 2
