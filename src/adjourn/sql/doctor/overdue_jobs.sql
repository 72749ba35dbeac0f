select (select extract(epoch from now() - j.scheduled_at)::double precision from @schema.adjourn_jobs j
        where j.hold = @scheduled order by j.scheduled_at limit 1) as scheduled,
       (select extract(epoch from now() - j.enqueued_at)::double precision from @schema.adjourn_jobs j
        where j.hold = @unplaced order by j.id limit 1) as unplaced,
       (select count(*) from (select from @schema.adjourn_jobs j where j.hold = @apart limit @counted) few) as apart,
       (select extract(epoch from now() - j.enqueued_at)::double precision from @schema.adjourn_jobs j
        where j.waiting_queueing_lock is not null order by j.id limit 1) as queueing_lock
