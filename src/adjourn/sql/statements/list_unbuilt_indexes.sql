-- Of each index that a version of the schema has made for a table alone: its partitions, and how far it is on each. Such an index is
-- invalid until all partitions have theirs.
select i.relname::text as name, p.relname::text as partition, coalesce(own.relname, made.relname, w.name)::text as child,
       case when own.oid is not null then 'attached' when made.oid is null then 'missing' when x.indisvalid then 'built'
            when b.pid is not null then 'building' else 'invalid' end as state,
       substr(pg_get_indexdef(i.oid), length('CREATE INDEX ' || quote_ident(i.relname) || ' ON ONLY ' || t.oid::regclass) + 1) as definition,
       b.pid, b.phase, nullif(b.current_locker_pid, 0)::integer as waits_for,
       case when b.blocks_total > 0 then 100 * b.blocks_done / b.blocks_total end::integer as percent
from pg_class i
join pg_index only_index on only_index.indexrelid = i.oid and not only_index.indisvalid
join pg_class t on t.oid = only_index.indrelid and t.relkind = 'p'
join pg_inherits part on part.inhparent = t.oid
join pg_class p on p.oid = part.inhrelid
cross join lateral (
    select case when octet_length(whole) > 63 then 'adjourn_' || md5(whole) else whole end as name
    from (select p.relname || '_' || regexp_replace(i.relname, '^adjourn_(finished_jobs_)?', '') as whole) named
) w
left join lateral (
    select c.oid, c.relname from pg_inherits a join pg_index y on y.indexrelid = a.inhrelid join pg_class c on c.oid = a.inhrelid
    where a.inhparent = i.oid and y.indrelid = p.oid
) own on true
left join pg_class made on own.oid is null and made.relnamespace = p.relnamespace and made.relname = w.name
left join pg_index x on x.indexrelid = made.oid
left join pg_stat_progress_create_index b on b.relid = p.oid and b.index_relid = made.oid
where i.relnamespace = to_regnamespace(@schema_name) and starts_with(i.relname, 'adjourn_') and i.relkind = 'I'
order by i.relname, p.relname
