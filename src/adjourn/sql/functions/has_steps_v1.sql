-- A run is about to store something for later runs of its job: say so in the job's row. Returns false if the job is no longer the
-- run's. Only the first time it writes; later it takes no lock.
create function @schema.adjourn_has_steps_v1(p_id bigint, p_claim integer, p_worker bigint) returns boolean
language plpgsql as $$
declare
    v_has_steps boolean;
begin
    select j.has_steps into v_has_steps from @schema.adjourn_jobs j where j.id = p_id and j.claim = p_claim and j.worker_id = p_worker;
    if not found then
        return false;
    end if;
    if v_has_steps is null then
        update @schema.adjourn_jobs j set special = true, has_steps = true
        where j.id = p_id and j.claim = p_claim and j.worker_id = p_worker;
        return found;
    end if;
    return true;
end $$;
