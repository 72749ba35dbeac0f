select noted, rest::text as rest from @schema.adjourn_heal_v1(%(rest)s::text::jsonb, %(limit)s::integer)
