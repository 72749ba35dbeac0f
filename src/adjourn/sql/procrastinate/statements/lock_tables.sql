lock table @theirs.procrastinate_jobs, @theirs.procrastinate_periodic_defers, @schema.adjourn_jobs in share row exclusive mode
