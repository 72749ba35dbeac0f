-- A migration that was rolled back may have copied jobs: up to history_high, each is looked for before it is copied.
insert into @schema.adjourn_procrastinate (their_schema, forwarding, map_ids, first_id, their_last_id, history_high)
values (%(name)s, %(forwarding)s, %(map_ids)s, %(first_id)s, %(their_last_id)s, greatest(
    (select max(f.id) from @schema.adjourn_finished_jobs f where f.id <= %(their_last_id)s and not %(map_ids)s),
    (select max(m.old_id) from @schema.adjourn_migrated_ids m), 0
))
on conflict (single) do update set forwarding = excluded.forwarding or adjourn_procrastinate.forwarding
