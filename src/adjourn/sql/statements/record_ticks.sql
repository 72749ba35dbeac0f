-- For tests: record the last ticks of schedules, by whatever clock they were due.
insert into @schema.adjourn_schedules (task_name, periodic_id, cron, timezone, last_tick, last_job_id)
select u.* from unnest(
    %(task_names)s::text[], %(periodic_ids)s::text[], %(crons)s::text[], %(timezones)s::text[], %(ticks)s::timestamptz[],
    %(job_ids)s::bigint[]
) u
on conflict (task_name, periodic_id) do update
set last_tick = excluded.last_tick, next_tick = null, last_job_id = coalesce(excluded.last_job_id, adjourn_schedules.last_job_id),
    cron = excluded.cron, timezone = excluded.timezone, seen_at = now()
