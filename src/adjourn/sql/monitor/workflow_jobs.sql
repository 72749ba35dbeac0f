-- The first jobs of a workflow, with those of them that each waits for; no more than @counted rows are looked at.
with flow as (
    select w.id, w.first_id, w.last_id from @schema.adjourn_workflows w where w.id = %(id)s::bigint
), node as (
    select few.* from flow cross join lateral (
        (select j.id, j.task_name as task, j.queue, case when j.worker_id is null then 'todo' else 'doing' end as status, j.next_id, j.started_at, null::timestamptz as finished_at
         from @schema.adjourn_jobs j where j.workflow_id = flow.id limit @listed)
        union all
        (select near.id, near.task_name, near.queue, near.status, (near.special ->> 'next_id')::bigint, near.started_at, near.finished_at
         from (select * from @schema.adjourn_finished_jobs f where f.id between flow.first_id and flow.last_id order by f.id limit @counted) near
         where (near.special ->> 'workflow_id')::bigint = flow.id limit @listed)
    ) few order by few.id limit @listed
)
select n.id, n.task, n.queue, n.status, extract(epoch from coalesce(n.finished_at, now()) - n.started_at)::double precision as seconds,
       array(
           select d.parent_id from @schema.adjourn_dependencies d where d.child_id = n.id and d.place is distinct from @empty_group
           union
           select parent.id from node parent where parent.next_id = n.id
           order by 1
       ) as parents
from node n order by n.id
