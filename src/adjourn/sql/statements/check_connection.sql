select to_regclass(@schema_name || '.adjourn_jobs') is not null and not exists (
    select from pg_proc p
    where p.pronamespace = to_regnamespace(@schema_name) and starts_with(p.proname, 'adjourn_')
      and p.prosrc ~ '[.]adjourn_'
      and strpos(p.prosrc, @schema_name) = 0 and strpos(p.prosrc, quote_literal(@schema_name)) = 0
) as exists
