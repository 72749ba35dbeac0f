select setval(
    pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id'),
    greatest(%(first_id)s, 1 + pg_sequence_last_value(pg_get_serial_sequence(@schema_name || '.adjourn_jobs', 'id')::regclass)), false
)
