-- The oldest finished job, and about how many there are. A partition that has never been analyzed has rows which nobody has counted.
select extract(epoch from now() - min(first.finished_at))::double precision as oldest, coalesce(sum(greatest(p.reltuples, 0)), 0)::bigint as rows,
       coalesce(bool_or(p.reltuples < 0 and pg_relation_size(p.oid) > 0), false) as is_uncounted
from pg_inherits i join pg_class p on p.oid = i.inhrelid
left join lateral (select f.finished_at from @schema.adjourn_finished_jobs f order by f.id limit 1) first on true
where i.inhparent = to_regclass(@schema_name || '.adjourn_finished_jobs')
