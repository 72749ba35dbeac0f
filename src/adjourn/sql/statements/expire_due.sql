-- End jobs that nobody has begun by the time when they expire: by the server's clock, or for tests by the caller's.
select @schema.adjourn_expire_due_v1(coalesce(%(until)s::timestamptz, now()), %(limit)s::integer) as expired
