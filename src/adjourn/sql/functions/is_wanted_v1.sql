-- Whether somebody wants to know how a special job has ended, so that its row is kept although jobs like it are deleted.
create function @schema.adjourn_is_wanted_v1(p_job @schema.adjourn_jobs) returns boolean
language sql immutable as $$
    select p_job.waited is true or p_job.workflow_id is not null or p_job.next_id is not null or p_job.has_dependents is true
$$;
