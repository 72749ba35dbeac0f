delete from @schema.adjourn_finished_jobs
where finished_at < now() - make_interval(secs => %(seconds)s)
  and status = any(%(statuses)s::text[])
  and (%(queue)s::text is null or queue = %(queue)s)
returning id
