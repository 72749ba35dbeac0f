select c.relname::text as name, pg_get_expr(c.relpartbound, c.oid) as bounds, i.inhdetachpending as is_detaching, c.reltuples as rows,
       pg_total_relation_size(c.oid) as bytes, pg_has_role(current_user, c.relowner, 'usage') as is_owned, c.relowner::regrole::text as owner,
       to_char(date_trunc('week', now() at time zone 'UTC'), 'YYYYMMDD') as this_week,
       to_char(date_trunc('week', now() at time zone 'UTC') - interval '7 days', 'YYYYMMDD') as last_week
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = to_regclass(@schema_name || '.adjourn_finished_jobs') order by c.relname
