-- The workers that have sent a heartbeat lately.
select count(*) as alive from @theirs.procrastinate_workers w where w.last_heartbeat > now() - interval '30 seconds'
