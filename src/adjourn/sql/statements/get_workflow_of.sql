select coalesce(
    (select j.workflow_id from @schema.adjourn_jobs j where j.id = %(job_id)s::bigint),
    (select (f.special ->> 'workflow_id')::bigint from @schema.adjourn_finished_jobs f where f.id = %(job_id)s::bigint)
) as workflow_id
