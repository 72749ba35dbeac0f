insert into @schema.adjourn_audit (actor, how, action, target, filter, jobs, ids, outcome, address, request_id)
values (%(actor)s::text, %(how)s::text, %(action)s::text, %(target)s::text, %(filter)s::jsonb, %(jobs)s::bigint, %(ids)s::bigint[], %(outcome)s::text,
        %(address)s::text, %(request_id)s::text)
returning id
