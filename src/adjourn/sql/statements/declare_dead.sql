update @schema.adjourn_workers set dead = true
where last_heartbeat_at < now() - make_interval(secs => %(seconds)s)
returning id
