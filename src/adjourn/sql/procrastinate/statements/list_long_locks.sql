select j.id, j.lock, j.queueing_lock from @theirs.procrastinate_jobs j
where j.status in (@live) and (length(j.lock) > 255 or length(j.queueing_lock) > 255) order by j.id limit %(limit)s
