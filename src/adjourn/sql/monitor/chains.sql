-- Locks with jobs that wait behind another one, found from one to the next in the index: how many, how many of them have no head, and
-- the longest wait of the first in line.
with recursive chain as (
    (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) order by j.lock limit 1)
    union all
    select (select j.lock from @schema.adjourn_jobs j where j.hold in (@behind, @unplaced) and j.lock > chain.lock order by j.lock limit 1)
    from chain where chain.lock is not null
), chosen as (select lock from chain where lock is not null limit 500)
select count(*) as locks,
       count(*) filter (where not exists (select from @schema.adjourn_jobs h where h.lock = chosen.lock and h.hold in (@heads))) as headless,
       coalesce(max((
           select extract(epoch from now() - greatest(j.enqueued_at, j.scheduled_at)) from @schema.adjourn_jobs j
           where j.lock = chosen.lock and j.hold in (@behind, @unplaced) order by j.priority desc, j.id limit 1
       )), 0)::double precision as seconds
from chosen
