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
    v_ended bigint[] := array(select abs(u) from unnest(p_ids) u);
    v_going_on bigint[];
    v_is_waited boolean;
    v_has_steps boolean;
    v_has_dependents boolean;
    v_has_places boolean;
    v_ready bigint[] := '{}';
begin
    -- These rows are wide, so each of them is taken apart once.
    select array_agg(j.id) filter (where j.id <> all(v_ended)), bool_or(j.waited), bool_or(j.has_steps),
           bool_or(j.next_id is not null or j.has_dependents or j.workflow_id is not null),
           bool_or(coalesce(j.key_slot, j.task_slot, j.queue_slot) is not null)
    into v_going_on, v_is_waited, v_has_steps, v_has_dependents, v_has_places from unnest(p_jobs) j;
    if v_is_waited then
        perform @schema.adjourn_tell_ends_v1(p_jobs, p_ids);
    end if;
    if p_ids is not null and v_has_steps then
        perform @schema.adjourn_forget_steps_v1(p_jobs, p_ids, p_statuses);
    end if;
    if p_ids is not null and v_has_dependents then
        v_ready := @schema.adjourn_tell_dependents_v1(p_jobs, p_ids, p_statuses, p_is_callers);
    end if;
    if v_going_on is not null then
        perform @schema.adjourn_move_v1(p_jobs, v_going_on);
    end if;
    if v_has_places then
        v_ready := v_ready || @schema.adjourn_free_slots_v1(p_jobs, p_is_callers);
    end if;
    return v_ready;
end $$;
