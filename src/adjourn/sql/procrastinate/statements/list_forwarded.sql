-- How many jobs came from there lately, by their ids, or by when they got others; and how many are held.
select count(*) filter (where enqueued_at > now() - interval '1 minute') as last_minute,
       count(*) filter (where enqueued_at > now() - interval '1 hour') as last_hour,
       (select count(*) from @schema.adjourn_jobs h where h.hold = @held) as held
from (
    select a.enqueued_at from @schema.adjourn_all_jobs a
    where not %(map_ids)s and a.id between %(their_last)s - 1000000 and %(their_last)s
      and (a.finished_at is null or a.finished_at > now() - interval '1 hour')
    union all
    select m.at from @schema.adjourn_migrated_ids m where %(map_ids)s and m.at > now() - interval '1 hour'
) recent
