select pg_advisory_xact_lock(@migrating_key)
