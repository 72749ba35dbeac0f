select to_regclass(@schema_name || '.adjourn_jobs') is not null as exists
