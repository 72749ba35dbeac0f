-- The latest workflows of a range of ids, and with a status.
select w.id, w.name, w.jobs, w.remaining - told.ended as remaining, w.failed + told.failed as failed, w.cancelled + told.cancelled as cancelled, w.is_cancelled, w.is_open,
       to_json(w.created_at) #>> '{}' as created_at, to_json(w.finished_at) #>> '{}' as finished_at
from @schema.adjourn_workflows w
cross join lateral (
    -- What has ended and was not added up yet
    select coalesce(sum(a.ended), 0) as ended, coalesce(sum(a.failed), 0) as failed, coalesce(sum(a.cancelled), 0) as cancelled
    from @schema.adjourn_arrivals a where a.job_id = w.id and not a.is_parent
) told
where w.id >= %(from_id)s::bigint and w.id <= %(to_id)s::bigint
  and (%(status)s::text is null or %(status)s::text = case when w.is_cancelled then 'cancelled' when w.finished_at is null then 'running'
           when w.failed + told.failed > 0 then 'failed' when w.cancelled + told.cancelled > 0 then 'cancelled' else 'succeeded' end)
order by w.id desc limit %(limit)s::bigint
