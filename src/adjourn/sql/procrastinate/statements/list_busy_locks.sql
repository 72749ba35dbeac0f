-- Locks whose jobs wait for one that runs.
select distinct j.lock from @theirs.procrastinate_jobs j
where j.status in (@live) and j.lock is not null and j.status = 'todo' and j.lock > %(after)s
order by 1 limit %(limit)s
