-- A job, with what only this page shows.
select j.*, l.hold, extract(epoch from now() - greatest(l.ready_at, l.enqueued_at, l.scheduled_at))::double precision as ready_for, l.awaited_event, l.limit_key, limits.name as limit_name,
       gate.scope as gate_scope, gate.name as gate_name,
       exists (
           select from @schema.adjourn_jobs o where o.hold = @unknown and o.task_name = j.task_name and o.queue = j.queue
       ) as others_unknown,
       coalesce(l.workflow_id, (f.special ->> 'workflow_id')::bigint) as workflow_id,
       (select v.waits_for from @schema.adjourn_all_jobs v where v.id = j.id and v.is_live) as waits_for,
       (select w.name from @schema.adjourn_workers w where w.id = j.worker_id) as worker_name,
       (select o.id from @schema.adjourn_jobs o where o.waiting_queueing_lock = j.queueing_lock) as queueing_holder
from @schema.adjourn_read_jobs_v1(array[%(id)s::bigint]) j
left join @schema.adjourn_jobs l on l.id = j.id
left join @schema.adjourn_finished_jobs f on f.id = j.id and f.finished_at = j.finished_at
left join @schema.adjourn_limits gate on gate.id = l.gate_id and l.hold = @gate
left join @schema.adjourn_limits limits on limits.id = coalesce(l.limit_id, (f.special ->> 'limit_id')::integer)
