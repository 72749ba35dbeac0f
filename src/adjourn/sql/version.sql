-- adjourn's schema, version @version (@version_name). One statement, and therefore all or nothing: it records itself,
-- does nothing if it has been applied already, and raises an error if an earlier version is missing.@note
do $adjourn$
declare
    v_version integer := 0;
begin

-- Sessions that apply a version at the same time take turns.
perform pg_advisory_xact_lock(@migrating_key);
if to_regclass(@schema_name || '.adjourn_migrations') is not null then
    v_version := (select coalesce(max(version), 0) from @schema.adjourn_migrations);
end if;
if v_version >= @version then
    raise notice using message = 'The schema ' || @schema_name || ' has version ' || v_version
        || ' of adjourn: there is nothing to do for version @version.';
    return;
elsif v_version < @version - 1 then
    raise exception using message = 'The schema ' || @schema_name || ' has version ' || v_version
        || ' of adjourn: apply the versions from ' || v_version + 1 || ' on before version @version.';
end if;

@changes

insert into @schema.adjourn_migrations (version, name) values (@version, '@version_name');
end $adjourn$;
