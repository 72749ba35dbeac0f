-- The error of a run that was lost with its worker, as it goes into the errors of its job.
create function @schema.adjourn_worker_lost_v1(p_job @schema.adjourn_jobs) returns jsonb
language sql stable as $$
    select jsonb_build_object(
        'exception', 'adjourn.exceptions.WorkerLost',
        'message', 'the worker was lost ' || case when p_job.losses > 0 then p_job.losses + 1 || ' times ' else '' end || 'while it ran this job',
        'attempt', p_job.attempts + 1, 'worker_id', p_job.worker_id,
        'worker_name', (select w.name from @schema.adjourn_workers w where w.id = p_job.worker_id),
        'started_at', p_job.started_at, 'ended_at', now()
    )
$$;
