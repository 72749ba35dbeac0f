create index concurrently if not exists adjourn_live_locks on @theirs.procrastinate_jobs (lock)
where status in (@live) and lock is not null
