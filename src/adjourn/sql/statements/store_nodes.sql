select @schema.adjourn_store_nodes_v1(
    %(workflow_id)s::bigint, %(jobs)s::bigint, %(is_new)s::boolean, %(is_open)s::boolean, %(name)s::text, %(last_id)s::bigint,
    %(ids)s::text::bigint[], %(queues)s::text::text[], %(task_names)s::text::text[], %(priorities)s::text::integer[], %(locks)s::text::text[],
    %(args)s::text::text[], %(headers)s::text::text[], %(scheduled_at)s::text::timestamptz[], %(schedule_in)s::text::double precision[], %(terms)s::text::text[], %(pending)s::text::integer[],
    %(run_ifs)s::text::smallint[], %(unlinked)s::text::boolean[], %(nexts)s::text::bigint[], %(has_dependents)s::text::boolean[],
    %(parents)s::text::bigint[], %(children)s::text::bigint[], %(names)s::text::text[], %(places)s::text::integer[],
    %(linked)s::text::boolean[], %(own_transaction)s::boolean
) as stored
