-- What is kept of a special job that has ended, for the case that somebody runs it again: names of columns, and their values.
create function @schema.adjourn_kept_v1(p_job @schema.adjourn_jobs) returns jsonb
language sql stable as $$
    select nullif(jsonb_strip_nulls(jsonb_build_object(
        'progress', p_job.progress, 'workflow_id', p_job.workflow_id, 'next_id', p_job.next_id, 'run_if', nullif(p_job.run_if & (@begun - 1), 0),
        'limit_id', p_job.limit_id, 'limit_key', p_job.limit_key, 'expires_at', p_job.expires_at, 'max_attempts', p_job.max_attempts,
        'is_batch', p_job.is_batch
    )), '{}')
$$;
