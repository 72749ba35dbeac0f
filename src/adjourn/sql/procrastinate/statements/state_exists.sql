select to_regclass(@schema_name || '.adjourn_procrastinate') is not null as exists
