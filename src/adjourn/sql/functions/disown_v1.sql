-- Put back the jobs that this worker has claimed without receiving the answer: all but the claims that it knows. A head goes back with all
-- its followers, or stays as it is. Returns their ids.
create function @schema.adjourn_disown_v1(p_worker bigint, p_known bigint[], p_claims integer[]) returns setof bigint
language plpgsql as $$
declare
    v_heads bigint[] := array(select j.id from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id = p_worker);
    v_followers bigint[] := @schema.adjourn_followers_v1(v_heads, array[p_worker]);
    v_lost bigint[] := array(
        select j.id from @schema.adjourn_jobs j
        where j.worker_id = p_worker and j.id = any(v_heads || v_followers) and (j.id, j.claim) not in (
            select known.id, known.claim from unnest(p_known, p_claims) known(id, claim)
        ) order by j.id for update skip locked
    );
    v_special @schema.adjourn_jobs[];
begin
    v_lost := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_lost) and (
            j.hold <> @ready or j.lock is null
            or not exists (select from @schema.adjourn_jobs f where f.id = any(v_followers) and f.lock = j.lock and f.id <> all(v_lost))
        )
    );
    v_special := array(select j from @schema.adjourn_jobs j where j.id = any(v_lost) and j.special);
    update @schema.adjourn_jobs j set
        worker_id = null, started_at = null, unknown_since = null, followers = null,
        hold = case when j.hold = @ready and j.doubts >= @apart_from then @apart else j.hold end
    where j.id = any(v_lost);
    if v_special <> '{}' then
        perform @schema.adjourn_end_v1(v_special, null, null, false);
    end if;
    return query select unnest(v_lost);
end $$;
