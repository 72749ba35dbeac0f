select pg_try_advisory_lock(@indexing_key) as locked
