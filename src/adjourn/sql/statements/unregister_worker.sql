delete from @schema.adjourn_workers where id = %(worker_id)s
