-- Drops what adjourn has made in its schema, and the schema itself if nothing else is in it. It refuses while jobs wait or
-- run, unless it is told otherwise.
do $adjourn$
declare
    v_jobs bigint;
    v_name text;
begin
perform pg_advisory_xact_lock(@migrating_key);
if to_regclass(@schema_name || '.adjourn_jobs') is not null then
    lock table @schema.adjourn_jobs in access exclusive mode;
    v_jobs := (select count(*) from @schema.adjourn_jobs);
    if v_jobs > 0 and not @is_forced then
        raise exception using errcode = 'object_in_use', message = v_jobs || ' jobs wait or run in the schema ' || @schema_name;
    end if;
end if;
for v_name in
    select @schema_name || '.' || quote_ident(c.relname) from pg_class c
    where c.relnamespace = to_regnamespace(@schema_name) and starts_with(c.relname, 'adjourn_') and c.relkind = 'v'
loop
    execute 'drop view if exists ' || v_name || ' cascade';
end loop;
for v_name in
    select p.oid::regprocedure from pg_proc p
    where p.pronamespace = to_regnamespace(@schema_name) and starts_with(p.proname, 'adjourn_')
loop
    execute 'drop function if exists ' || v_name || ' cascade';
end loop;
for v_name in
    select @schema_name || '.' || quote_ident(c.relname) from pg_class c
    where c.relnamespace = to_regnamespace(@schema_name) and starts_with(c.relname, 'adjourn_') and c.relkind in ('r', 'p')
        and not c.relispartition
loop
    execute 'drop table if exists ' || v_name || ' cascade';
end loop;
begin
    drop schema if exists @schema restrict;
exception when dependent_objects_still_exist or insufficient_privilege then
    null;
end;
end $adjourn$;
