-- The size of each table, that of finished jobs with all its partitions.
select case when parent.relname is null then c.relname else parent.relname end::text as name,
       sum(pg_relation_size(c.oid))::bigint as heap, sum(pg_indexes_size(c.oid))::bigint as index,
       sum(coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0))::bigint as toast,
       sum(case when c.reltuples < 0 then coalesce(s.n_live_tup, 0) else c.reltuples end)::bigint as rows, sum(coalesce(s.n_dead_tup, 0))::bigint as dead
from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
left join pg_inherits i on i.inhrelid = c.oid left join pg_class parent on parent.oid = i.inhparent
where c.relnamespace = to_regnamespace(@schema_name) and c.relkind = 'r' and c.relname like 'adjourn\_%%'
group by 1 order by 1 limit @listed
