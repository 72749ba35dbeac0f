select @schema.adjourn_cancel_workflow_v1(%(id)s::bigint, %(limit)s::integer) as cancelled
