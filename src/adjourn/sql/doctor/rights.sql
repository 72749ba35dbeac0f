select wanted.kind, wanted.name, wanted.privilege,
       case when wanted.kind = 'schema' then has_schema_privilege(to_regnamespace(wanted.name)::oid, wanted.privilege)
            when wanted.kind = 'sequence' then has_sequence_privilege(to_regclass(wanted.name)::oid, wanted.privilege)
            when wanted.kind = 'columns' then has_any_column_privilege(to_regclass(wanted.name)::oid, wanted.privilege)
            else has_table_privilege(to_regclass(wanted.name)::oid, wanted.privilege) end as is_granted
from unnest(%(kinds)s::text[], %(names)s::text[], %(privileges)s::text[]) wanted(kind, name, privilege)
union all
select 'function', p.proname::text, 'execute', has_function_privilege(p.oid, 'execute')
from pg_proc p where p.pronamespace = to_regnamespace(@schema_name) and p.proname like 'adjourn\_%%'
