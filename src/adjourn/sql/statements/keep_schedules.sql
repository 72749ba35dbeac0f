-- Mark the schedules that the program still uses as seen, and delete those that no program has used for long, unless they are paused: a pause
-- lasts until somebody ends it. What another transaction has locked is left for the next time.
with known as materialized (
    select u.task_name, u.periodic_id from unnest(%(task_names)s::text[], %(periodic_ids)s::text[]) u(task_name, periodic_id)
), free as materialized (
    select s.task_name, s.periodic_id from @schema.adjourn_schedules s
    where (s.task_name, s.periodic_id) in (select k.task_name, k.periodic_id from known k) for update skip locked
), seen as (
    update @schema.adjourn_schedules s set seen_at = now()
    from free f where s.task_name = f.task_name and s.periodic_id = f.periodic_id
), unused as materialized (
    select s.task_name, s.periodic_id from @schema.adjourn_schedules s
    where s.seen_at < now() - make_interval(secs => %(seconds)s) and s.paused_at is null
      and (s.task_name, s.periodic_id) not in (select k.task_name, k.periodic_id from known k)
    for update skip locked
)
delete from @schema.adjourn_schedules s using unused u
where s.task_name = u.task_name and s.periodic_id = u.periodic_id
returning s.task_name, s.periodic_id
