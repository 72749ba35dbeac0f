select payload::text as payload from @schema.adjourn_sent_events where name = %(name)s::text and expires_at > now()
