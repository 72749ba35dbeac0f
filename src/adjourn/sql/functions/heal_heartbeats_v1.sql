-- Workers whose last heartbeat is to come have sent it before the clock was set back: let them expire as long after now as they would have after
-- it. Those that live send the next one soon.
create function @schema.adjourn_heal_heartbeats_v1() returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
begin
    update @schema.adjourn_workers set last_heartbeat_at = now(), expires_at = now() + (expires_at - last_heartbeat_at)
    where id = any(array(
        select w.id from @schema.adjourn_workers w where not w.dead and w.last_heartbeat_at > clock_timestamp() order by w.id for update skip locked
    ));
end $$;
