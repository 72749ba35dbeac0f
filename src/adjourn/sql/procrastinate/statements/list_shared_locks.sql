-- Locks that have jobs in both, though nothing keeps them apart yet.
select distinct j.lock from @schema.adjourn_jobs j
where j.lock is not null and j.hold <> @held
  and exists (select from @theirs.procrastinate_jobs t where t.lock = j.lock and t.status in (@live))
order by 1 limit %(limit)s
