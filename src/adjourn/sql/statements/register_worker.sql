insert into @schema.adjourn_workers (name, queues, expires_at)
values (%(name)s, %(queues)s::text[], now() + make_interval(secs => %(timeout)s))
returning id
