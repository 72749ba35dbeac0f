-- The functions of this schema that work on another one: it was renamed since they were made, and they hold its old name.
select p.proname::text as name from pg_proc p
where p.pronamespace = to_regnamespace(@schema_name) and starts_with(p.proname, 'adjourn_')
  and p.prosrc ~ '[.]adjourn_'
  and strpos(p.prosrc, @schema_name) = 0 and strpos(p.prosrc, quote_literal(@schema_name)) = 0
order by p.proname
