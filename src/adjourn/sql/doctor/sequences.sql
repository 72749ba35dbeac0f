-- The sequences of ids, and the highest id that is taken.
select taken.name as "table", taken.id, s.last_value as last, s.schemaname::text as schema, s.sequencename::text as name,
       has_sequence_privilege(taken.sequence::oid, 'usage, select') as is_readable
from (
    select name, greatest(id, 0) as id, pg_get_serial_sequence(@schema_name || '.' || name, 'id')::regclass as sequence from (
        select 'adjourn_jobs' as name, greatest(
            (select max(j.id) from @schema.adjourn_jobs j), (select max(f.id) from @schema.adjourn_finished_jobs f),
            (select max(w.id) from @schema.adjourn_workflows w)
        ) as id
        union all select 'adjourn_workers', greatest(
            (select max(w.id) from @schema.adjourn_workers w),
            (select max(j.worker_id) from (select f.worker_id from @schema.adjourn_jobs f where f.hold = @ready limit @counted) j)
        )
        union all select 'adjourn_limits', max(l.id) from @schema.adjourn_limits l
        union all select 'adjourn_audit', max(a.id) from @schema.adjourn_audit a
        union all select 'adjourn_schedules', max(s.id) from @schema.adjourn_schedules s
    ) highest
) taken
join pg_class c on c.oid = taken.sequence::oid join pg_namespace n on n.oid = c.relnamespace
join pg_sequences s on s.schemaname = n.nspname and s.sequencename = c.relname
where coalesce(s.last_value, 0) < taken.id
