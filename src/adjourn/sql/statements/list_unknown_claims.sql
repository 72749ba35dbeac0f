-- Jobs that this worker has claimed without having received the answer so far, each with the number of the claim.
select id, claim from @schema.adjourn_jobs
where hold = @ready and worker_id = %(worker_id)s and (id, claim) not in (
          select known.id, known.claim from unnest(%(known)s::bigint[], %(claims)s::integer[]) known(id, claim)
      ) order by id
