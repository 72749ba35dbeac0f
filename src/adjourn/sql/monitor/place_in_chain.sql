-- How many jobs are behind the head of a lock, and how many of them are to run before this one; of a thousand at most.
select count(*) as behind, count(*) filter (where not few.is_after) as before from (
    select j.priority < mine.priority or (j.priority = mine.priority and j.id >= mine.id) as is_after
    from @schema.adjourn_jobs j left join @schema.adjourn_jobs mine on mine.id = %(id)s::bigint
    where j.lock = %(lock)s::text and j.hold in (@behind, @unplaced)
    order by j.priority desc, j.id limit 1000
) few
