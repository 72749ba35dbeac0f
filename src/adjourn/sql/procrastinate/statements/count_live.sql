-- What is left: jobs that wait, that run, that are refused, and those of a lock.
select count(*) filter (where j.status = 'todo') as todo, count(*) filter (where j.status <> 'todo') as doing,
       count(*) filter (where @refused) as refused, count(distinct j.lock) as locks
from @theirs.procrastinate_jobs j where j.status in (@live)
