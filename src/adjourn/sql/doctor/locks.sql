-- Locks with jobs that wait behind another one, found from one to the next in the index, and whether each has a head.
with recursive chain as (
    (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) order by j.lock limit 1)
    union all
    select (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock > chain.lock order by j.lock limit 1)
    from chain where chain.lock is not null
), chosen as (select lock from chain where lock is not null limit 500)
-- An `exists` might be answered by reading all heads first.
select chosen.lock, (select true from @schema.adjourn_jobs h where h.lock = chosen.lock and h.hold in (@heads) limit 1) is true as has_head,
       (select extract(epoch from now() - greatest(j.enqueued_at, j.scheduled_at))::double precision from @schema.adjourn_jobs j
        where j.lock = chosen.lock and j.hold in (@behind, @unplaced) order by j.priority desc, j.id limit 1) as seconds
from chosen
