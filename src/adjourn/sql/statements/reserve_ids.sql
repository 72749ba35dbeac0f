select array(
    select nextval(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')) from generate_series(1, %(count)s::integer)
)::text as ids
