-- Which columns and tables Procrastinate has here: its releases differ in them.
with columns as (
    select c.relname || '.' || a.attname as name
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = (select n.oid from pg_namespace n where n.nspname = %(name)s)
      and starts_with(c.relname, 'procrastinate_') and a.attnum > 0 and not a.attisdropped
)
select array(select name from columns order by name) as columns,
       (select x.relname from pg_index i join pg_class x on x.oid = i.indexrelid
        where i.indrelid = (quote_ident(%(name)s) || '.procrastinate_jobs')::regclass and i.indisunique
          and i.indpred is not null and pg_get_indexdef(i.indexrelid, 1, true) = 'queueing_lock' limit 1) as queueing_lock_index
