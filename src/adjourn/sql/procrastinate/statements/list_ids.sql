-- Where the ids of theirs are.
select coalesce((select max(j.id) from @theirs.procrastinate_jobs j), 0) as their_highest,
       coalesce(pg_sequence_last_value(pg_get_serial_sequence(@theirs_name || '.procrastinate_jobs', 'id')::regclass), 0) as their_last
