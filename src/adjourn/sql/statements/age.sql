select @schema.adjourn_age_v1(%(seconds)s::double precision, %(queues)s::text[], %(limit)s::integer) as raised
