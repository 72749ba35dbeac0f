select @schema.adjourn_retry_workflow_v1(%(id)s::bigint) as retried
