-- Jobs that this worker has claimed without receiving the answer. A head goes back with all its followers, or stays as it is.
with heads as materialized (
    select id, claim, lock from @schema.adjourn_jobs where hold = @ready and worker_id = %(worker_id)s
), followers as materialized (
    select id, claim, lock from @schema.adjourn_jobs
    where id = any(@schema.adjourn_followers_v1(array(select id from heads), array[%(worker_id)s::bigint]))
), lost as materialized (
    select id from @schema.adjourn_jobs
    where worker_id = %(worker_id)s and id = any(array(select id from heads union all select id from followers))
      and (id, claim) not in (
          select known.id, known.claim from unnest(%(known)s::bigint[], %(claims)s::integer[]) known(id, claim)
      ) order by id for update skip locked
)
update @schema.adjourn_jobs j
set worker_id = null, started_at = null, unknown_since = null, followers = null,
    hold = case when j.hold = @ready and j.doubts >= @apart_from then @apart else j.hold end
from lost
where j.id = lost.id and (
    j.hold <> @ready or j.lock is null
    or not exists (select from followers f where f.lock = j.lock and f.id not in (select lost.id from lost))
)
returning j.id
