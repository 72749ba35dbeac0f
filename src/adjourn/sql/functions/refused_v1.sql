-- Those of these jobs that may not start now: their queue or task is paused, or there is a limit under which they have no place. A place
-- that was given before the limit was set or lowered is none.
create function @schema.adjourn_refused_v1(p_ids bigint[]) returns bigint[]
language plpgsql stable set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_paused text[] := array(select p.scope || ':' || p.name from @schema.adjourn_pauses p);
    v_limited text[] := array(
        select l.scope || ':' || l.name from @schema.adjourn_limits l
        where l.scope <> 'key' and (l.concurrency is not null or l.rates is not null)
    );
begin
    return array(
        select j.id from @schema.adjourn_jobs j
        where j.id = any(p_ids) and (
            v_paused <> '{}' and ('queue:' || j.queue = any(v_paused) or 'task:' || j.task_name = any(v_paused))
            or j.limit_id is not null and exists (
                select from @schema.adjourn_limits l
                where l.id = j.limit_id and @schema.adjourn_lacks_place_v1(l.concurrency, l.rates, j.key_slot)
            )
            or 'task:' || j.task_name = any(v_limited) and exists (
                select from @schema.adjourn_limits l
                where l.scope = 'task' and l.name = j.task_name and @schema.adjourn_lacks_place_v1(l.concurrency, l.rates, j.task_slot)
            )
            or 'queue:' || j.queue = any(v_limited) and exists (
                select from @schema.adjourn_limits l
                where l.scope = 'queue' and l.name = j.queue and @schema.adjourn_lacks_place_v1(l.concurrency, l.rates, j.queue_slot)
            )
        )
    );
end $$;
