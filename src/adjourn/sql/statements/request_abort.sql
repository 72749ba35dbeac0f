select id from @schema.adjourn_request_abort_v1(%(ids)s::bigint[]) id
