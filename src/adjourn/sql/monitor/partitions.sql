-- The partitions of finished jobs, the latest 200 weeks: from when to when, what is in each, and what is in the default one, of which no more than
-- @counted jobs are counted.
select few.* from (
    select c.relname::text as name, bounds.told is null as is_default, i.inhdetachpending as is_detaching,
           extract(epoch from bounds.told[1]::timestamptz)::double precision as begins, extract(epoch from bounds.told[2]::timestamptz)::double precision as ends,
           pg_total_relation_size(c.oid) as bytes,
           case when bounds.told is null then (select count(*) from (select from @schema.adjourn_finished_jobs_default limit @counted) few)
                when c.reltuples < 0 then coalesce(s.n_live_tup, 0) else c.reltuples end::bigint as rows
    from pg_inherits i join pg_class c on c.oid = i.inhrelid left join pg_stat_user_tables s on s.relid = c.oid
    left join lateral (
        select regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') as told
    ) bounds on true
    where i.inhparent = to_regclass(@schema_name || '.adjourn_finished_jobs')
    order by begins desc nulls first limit @listed
) few order by few.begins nulls last
