-- The indexes of our tables, but for those of partitions, with the columns that each mentions.
select i.relname::text as name, t.relname::text as table_name, x.indisvalid as is_valid, x.indisready as is_ready,
       i.relkind = 'I' as is_partitioned,
       pg_get_indexdef(x.indexrelid) as definition,
       array(
           select a.attname::text from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
           where d.classid = 'pg_class'::regclass and d.objid = x.indexrelid and d.refobjid = x.indrelid and d.refobjsubid > 0
           order by a.attname
       ) as columns
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
where t.relnamespace = to_regnamespace(@schema_name) and t.relname like 'adjourn\_%%' and not t.relispartition
order by i.relname
