-- Let jobs go whose lock is free there.
with free as materialized (
    select j.id from @schema.adjourn_jobs j
    where j.hold = @held and (select p.forwarding from @schema.adjourn_procrastinate p)
      and not exists (select from @theirs.procrastinate_jobs t where t.lock = j.lock and t.status in (@live))
    order by j.id for update skip locked
), released as (
    update @schema.adjourn_jobs j set hold = case when j.scheduled_at > now() then @scheduled else @unplaced end
    where j.id = any(array(select f.id from free f)) returning 1
)
select count(*) as released, (select count(*) from @schema.adjourn_jobs h where h.hold = @held) as held,
       case when count(*) > 0 then @schema.adjourn_wake_v1(false, null) end as woken
from released
