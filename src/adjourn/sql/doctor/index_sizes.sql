select i.relname::text as name, pg_relation_size(i.oid) as bytes
from pg_index x join pg_class i on i.oid = x.indexrelid
where x.indrelid = to_regclass(@schema_name || '.adjourn_jobs') order by 2 desc
