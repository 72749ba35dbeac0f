select count(*) as events from @theirs.procrastinate_events
