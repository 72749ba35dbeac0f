select @schema.adjourn_clean_workflows_v1(
    make_interval(secs => %(seconds)s), %(after_id)s::bigint, %(limit)s::integer
) as last_id
