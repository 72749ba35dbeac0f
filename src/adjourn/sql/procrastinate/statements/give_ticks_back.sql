insert into @theirs.procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
select s.task_name, s.periodic_id, extract(epoch from s.last_tick)::bigint from @schema.adjourn_schedules s
where length(s.task_name) <= 128 and length(s.periodic_id) <= 128
on conflict do nothing
