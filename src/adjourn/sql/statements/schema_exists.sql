select to_regclass(@schema_name || '.adjourn_migrations') is not null as exists
