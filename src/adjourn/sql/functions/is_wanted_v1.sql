-- Whether somebody wants to know how a special job has ended, so that its row is kept although jobs like it are deleted.
create function @schema.adjourn_is_wanted_v1(p_job @schema.adjourn_jobs) returns boolean
language sql immutable as $$
    select p_job.waited is true
$$;
