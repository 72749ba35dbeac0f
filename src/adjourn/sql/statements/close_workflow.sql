select @schema.adjourn_close_workflow_v1(%(id)s::bigint) as closed
