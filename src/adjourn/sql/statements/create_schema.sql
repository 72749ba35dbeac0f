do $$ begin
    if not exists (select from pg_namespace where nspname = @schema_bare) then
        execute 'create schema ' || @schema_name;
    end if;
end $$
