select setval(
    pg_get_serial_sequence(@theirs_name || '.procrastinate_jobs', 'id'),
    greatest((select max(j.id) from @theirs.procrastinate_jobs j), (select max(a.id) from @schema.adjourn_all_jobs a),
             pg_sequence_last_value(pg_get_serial_sequence(@theirs_name || '.procrastinate_jobs', 'id')::regclass), 1)
)
