-- A worker has locked these jobs and is about to claim them, while something is paused or has a limit that they may not have passed: one that
-- was set later, or that the program that stored them did not know of. Such jobs wait, and so do up to @most_placed that would be next.
-- Returns the others, in their order, and whether there were such.
create function @schema.adjourn_admit_v1(p_ids bigint[]) returns table (ids bigint[], parked boolean)
language plpgsql as $$
declare
    v_refused bigint[] := @schema.adjourn_refused_v1(p_ids);
    v_next bigint[];
begin
    ids := p_ids;
    parked := v_refused <> '{}';
    if parked then
        ids := array(select u.id from unnest(p_ids) with ordinality u(id, place) where u.id <> all(v_refused) order by u.place);
        v_next := array(
            select j.id from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id is null
            order by j.priority desc, coalesce(j.turn, j.id) limit @most_placed
        );
        v_next := @schema.adjourn_refused_v1(v_next);
        v_next := array(
            select j.id from @schema.adjourn_jobs j
            where j.id = any(v_next) and j.hold + 0 = @ready and j.worker_id is null and j.id <> all(ids)
            for update skip locked
        );
        perform @schema.adjourn_give_up_v1(v_refused || v_next);
        -- A job that has waited for a worker that knows its task, which this one does, waits for its limits like any other.
        update @schema.adjourn_jobs j set special = true, hold = case when j.hold = @unknown then @ready else j.hold end
        where j.id = any(v_refused || v_next) and (j.special is null or j.hold + 0 = @unknown);
        perform @schema.adjourn_gate_v1(v_refused || v_next);
    end if;
    return next;
end $$;
