-- How many jobs wait to run apart from others; and of the first @counted with a queueing lock, the one that should have run the longest ago.
select (select count(*) from (select from @schema.adjourn_jobs j where j.hold = @apart limit @counted) few) as apart, oldest.id, oldest.lock,
       oldest.task, oldest.seconds, (select v.waits_for from @schema.adjourn_all_jobs v where v.id = oldest.id and v.is_live) as waits_for
from (select) one left join (
    select few.id, few.waiting_queueing_lock as lock, few.task_name as task,
           extract(epoch from now() - greatest(few.enqueued_at, few.scheduled_at))::double precision as seconds
    from (
        select j.id, j.waiting_queueing_lock, j.task_name, j.enqueued_at, j.scheduled_at from @schema.adjourn_jobs j
        where j.waiting_queueing_lock is not null order by j.waiting_queueing_lock limit @counted
    ) few
    order by seconds desc limit 1
) oldest on true
