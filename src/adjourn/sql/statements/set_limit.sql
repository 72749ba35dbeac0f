select @schema.adjourn_set_limit_v1(
    %(scope)s::text, %(name)s::text, %(concurrency)s::integer, %(rates)s::text::jsonb, %(declared)s::boolean
) as changed
