-- Jobs that this worker has claimed without having received the answer so far, each with the number of the claim.
-- The followers are looked up in a subquery of their own, which is run once: in a condition it would be for each job there is.
with heads as materialized (
    select id, claim, lock from @schema.adjourn_jobs where hold = @ready and worker_id = %(worker_id)s
), followers as materialized (
    select id, claim, lock from @schema.adjourn_jobs
    where id = any(array(
        select unnest(@schema.adjourn_followers_v1(array(select id from heads), array[%(worker_id)s::bigint]))
    ))
)
select id, claim from (select id, claim from heads union all select id, claim from followers) claimed
where (id, claim) not in (
    select known.id, known.claim from unnest(%(known)s::bigint[], %(claims)s::integer[]) known(id, claim)
) order by id
