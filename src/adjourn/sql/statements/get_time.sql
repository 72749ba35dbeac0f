select to_json(now()) #>> '{}' as now
