-- For tests: wake the jobs that wait for events which have been sent, as an exchange does.
select @schema.adjourn_deliver_events_v1(%(limit)s)::text as delivered
