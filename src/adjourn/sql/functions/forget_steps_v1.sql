-- These jobs, which have steps, have ended: forget the steps of those that have succeeded or are deleted. The others keep them, so that somebody who runs a
-- job again goes on where it has stopped.
create function @schema.adjourn_forget_steps_v1(p_jobs @schema.adjourn_jobs[], p_ids bigint[], p_statuses text[]) returns void
language sql as $$
    delete from @schema.adjourn_steps where job_id = any(array(
        select job.id from unnest(p_jobs) job join unnest(p_ids, p_statuses) ended(id, status) on ended.id = job.id
        where job.has_steps and (ltrim(ended.status, '-') = 'succeeded' or left(ended.status, 1) = '-' and not @schema.adjourn_is_wanted_v1(job))
    ))
$$;
