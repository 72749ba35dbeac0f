-- Store one job without a queueing lock, as adjourn_defer_jobs_v1 does, but inline. All of it is one insert, with few parts, since
-- starting each part of a statement costs as much as an index entry. It returns no column that a role that only defers cannot read.
insert into @schema.adjourn_jobs (queue, task_name, priority, lock, args, headers, scheduled_at, hold)
values (
    %(queue)s::text, %(task_name)s::text, %(priority)s::integer, %(lock)s::text, %(args)s::text::jsonb, %(headers)s::text::jsonb,
    coalesce(now() + make_interval(secs => %(schedule_in)s::double precision), %(scheduled_at)s::timestamptz),
    case when coalesce(now() + make_interval(secs => %(schedule_in)s::double precision), %(scheduled_at)s::timestamptz) > now()
             then @scheduled
         when %(lock)s::text is not null then @unplaced else @ready end
)
returning id, to_json(enqueued_at) #>> '{}' as enqueued_at, case
    when %(own_transaction)s::boolean then @schema.adjourn_wake_v1(true, null)::text
    when not exists (select from @schema.adjourn_workers where hungry and not dead and expires_at > now()) then null
    -- All hungry workers, so that whichever is free when the job is due knows of it.
    when coalesce(now() + make_interval(secs => %(schedule_in)s::double precision), %(scheduled_at)s::timestamptz) > now()
        then @schema.adjourn_wake_v1(false, null)::text
    else @schema.adjourn_wake_for_v1(array[%(queue)s::text], null)::text
end as woken
