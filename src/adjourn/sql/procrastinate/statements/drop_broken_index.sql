-- One that was not finished is of no use, and would not be made again.
select 'drop index ' || i.indexrelid::regclass as command from pg_index i join pg_class x on x.oid = i.indexrelid
where x.relnamespace = @theirs_name::regnamespace and x.relname = 'adjourn_live_locks' and not i.indisvalid
