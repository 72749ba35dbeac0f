-- Jobs that this worker has claimed without receiving the answer.
select id from @schema.adjourn_disown_v1(%(worker_id)s, %(known)s::bigint[], %(claims)s::integer[]) id
