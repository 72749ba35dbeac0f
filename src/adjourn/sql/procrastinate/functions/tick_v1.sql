-- Before Procrastinate records a tick: record it here, too. If it or a later one is here already, Procrastinate is to believe
-- that it was deferred. The advisory lock is that of workers that defer ticks.
create or replace function @schema.adjourn_procrastinate_tick_v1() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
begin
    perform pg_advisory_xact_lock(@ticking_key);
    insert into @schema.adjourn_schedules as s (task_name, periodic_id, cron, timezone, last_tick)
    values (new.task_name, new.periodic_id, '', 'UTC', to_timestamp(new.defer_timestamp))
    on conflict (task_name, periodic_id) do update set last_tick = excluded.last_tick, seen_at = now()
    where s.last_tick < excluded.last_tick or s.last_tick > now() + make_interval(secs => @clock_tolerance);
    return case when found then new end;
exception when others then
    perform @schema.adjourn_procrastinate_tell_v1('a tick was not compared', null, sqlerrm);
    return new;
end $$;
