-- Special jobs have ended in this transaction, or have been moved: do what this means to others.
--   p_jobs: their rows, as they were before.
--   p_ids, p_statuses: how jobs have ended, with a minus in front for one that is deleted; null, or without the job's id: it goes on.
--   p_is_callers: this is a transaction that its caller may keep open. It takes no advisory lock and waits for nobody: what is to be
--     done for other jobs is noted for the worker that places them.
-- Returns the ids of jobs that are ready because of it.
create function @schema.adjourn_end_v1(
    p_jobs @schema.adjourn_jobs[], p_ids bigint[], p_statuses text[], p_is_callers boolean
) returns bigint[]
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_going_on bigint[] := array(select j.id from unnest(p_jobs) j where j.id <> all(array(select abs(u) from unnest(p_ids) u)));
    v_ready bigint[] := '{}';
begin
    if exists (select from unnest(p_jobs) j where j.waited) then
        perform @schema.adjourn_tell_ends_v1(p_jobs, p_ids);
    end if;
    if p_ids is not null and exists (select from unnest(p_jobs) job where job.has_steps) then
        perform @schema.adjourn_forget_steps_v1(p_jobs, p_ids, p_statuses);
    end if;
    if p_ids is not null and exists (select from unnest(p_jobs) j where j.next_id is not null or j.has_dependents or j.workflow_id is not null) then
        v_ready := @schema.adjourn_tell_dependents_v1(p_jobs, p_ids, p_statuses, p_is_callers);
    end if;
    if v_going_on <> '{}' then
        perform @schema.adjourn_move_v1(p_jobs, v_going_on);
    end if;
    if exists (select from unnest(p_jobs) j where j.key_slot is not null or j.task_slot is not null or j.queue_slot is not null) then
        v_ready := v_ready || @schema.adjourn_free_slots_v1(p_jobs, p_is_callers);
    end if;
    return v_ready;
end $$;
