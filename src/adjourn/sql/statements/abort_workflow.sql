select id from @schema.adjourn_request_abort_v1(array(
    select id from @schema.adjourn_jobs where workflow_id = %(id)s::bigint and worker_id is not null
)) id
