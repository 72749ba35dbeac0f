select @schema.adjourn_send_events_v1(%(names)s::text[], %(payloads)s::text[], %(seconds)s::double precision[]) as stored
