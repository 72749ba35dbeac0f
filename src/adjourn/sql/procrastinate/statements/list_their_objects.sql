-- The commands that drop what Procrastinate has made, in order.
select command from (
    select 1 as turn, 'drop trigger ' || quote_ident(t.tgname) || ' on ' || t.tgrelid::regclass::text as command
    from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where c.relnamespace = @theirs_name::regnamespace and starts_with(c.relname, 'procrastinate_')
      and not t.tgisinternal and starts_with(t.tgname, 'procrastinate_')
    union all
    select 2, 'drop function ' || p.oid::regprocedure::text from pg_proc p
    where p.pronamespace = @theirs_name::regnamespace and starts_with(p.proname, 'procrastinate_')
    union all
    select 3, 'drop table ' || string_agg(c.oid::regclass::text, ', ' order by c.relname)
    from pg_class c where c.relnamespace = @theirs_name::regnamespace and c.relkind in ('r', 'p') and c.relname in (
        'procrastinate_jobs', 'procrastinate_events', 'procrastinate_periodic_defers', 'procrastinate_workers', 'procrastinate_version'
    )
    union all
    select 4, 'drop type ' || t.oid::regtype::text from pg_type t
    where t.typnamespace = @theirs_name::regnamespace and starts_with(t.typname, 'procrastinate_')
      and (t.typtype = 'e' or t.typtype = 'c' and exists (select from pg_class c where c.oid = t.typrelid and c.relkind = 'c'))
) drops where command is not null order by turn, command
