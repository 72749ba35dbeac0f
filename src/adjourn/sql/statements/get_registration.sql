-- When a worker has registered, in microseconds. A database that lost the last commits, or was restored, gives ids once more.
select (extract(epoch from started_at) * 1000000)::bigint as registered_at from @schema.adjourn_workers where id = %(worker_id)s
