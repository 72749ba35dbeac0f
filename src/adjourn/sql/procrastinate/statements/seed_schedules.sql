with given as (
    select d.task_name, d.periodic_id, to_timestamp(max(d.defer_timestamp)) as tick
    from @theirs.procrastinate_periodic_defers d where d.defer_timestamp is not null group by 1, 2
), seeded as (
    insert into @schema.adjourn_schedules as s (task_name, periodic_id, cron, timezone, last_tick)
    select g.task_name, g.periodic_id, '', 'UTC', g.tick from given g
    on conflict (task_name, periodic_id) do update set last_tick = excluded.last_tick where s.last_tick < excluded.last_tick
    returning 1
)
select count(*) as schedules from seeded
