-- Somebody deletes a worker: one that still has jobs stays, marked as dead, until they are rescued. Else nobody would know that they are
-- nobody's.
create function @schema.adjourn_keep_worker_v1() returns trigger
language plpgsql as $$
begin
    -- The row is locked. A claim of this worker shares a lock on it until it is committed, so this sees what was claimed.
    if exists (select from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id = old.id)
        or @schema.adjourn_followers_v1('{}', array[old.id]) <> '{}' then
        update @schema.adjourn_workers set dead = true where id = old.id;
        return null;
    end if;
    return old;
end $$;
