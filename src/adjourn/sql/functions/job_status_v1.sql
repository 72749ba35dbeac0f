-- A job's status; no row if there is no such job.
-- The settings make plans that read by the indexes on ids, even if they are made and kept while a table is empty.
create function @schema.adjourn_job_status_v1(p_id bigint) returns setof text
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    return query select j.status from @schema.adjourn_all_jobs j where j.id = p_id;
end $$;
