-- Mark the schedules that the program still uses as seen, and delete those that no program has used for long.
with seen as (
    update @schema.adjourn_schedules s set seen_at = now()
    from unnest(%(task_names)s::text[], %(periodic_ids)s::text[]) known(task_name, periodic_id)
    where s.task_name = known.task_name and s.periodic_id = known.periodic_id
    returning s.task_name, s.periodic_id
)
delete from @schema.adjourn_schedules s
where s.seen_at < now() - make_interval(secs => %(seconds)s)
  and not exists (select from seen where seen.task_name = s.task_name and seen.periodic_id = s.periodic_id)
returning s.task_name, s.periodic_id
