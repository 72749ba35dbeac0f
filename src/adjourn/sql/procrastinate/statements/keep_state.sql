insert into @schema.adjourn_procrastinate (their_schema, forwarding, map_ids, first_id, their_last_id)
values (%(name)s, %(forwarding)s, %(map_ids)s, %(first_id)s, %(their_last_id)s)
on conflict (single) do update set forwarding = excluded.forwarding or adjourn_procrastinate.forwarding
