-- Jobs that this worker has claimed without receiving the answer.
with lost as materialized (
    select id from @schema.adjourn_jobs
    where hold = @ready and worker_id = %(worker_id)s and (id, claim) not in (
          select known.id, known.claim from unnest(%(known)s::bigint[], %(claims)s::integer[]) known(id, claim)
      ) order by id for update skip locked
)
update @schema.adjourn_jobs j
set worker_id = null, started_at = null, unknown_since = null, hold = case when j.doubts >= @apart_from then @apart else j.hold end
from lost where j.id = lost.id returning j.id
