-- A special job is due, and the head of its lock if it has one. Returns its `hold`: what it waits for next, or @ready.
create function @schema.adjourn_gate_v1(p_job @schema.adjourn_jobs) returns smallint
language plpgsql as $$
begin
    return @ready;
end $$;
