select id from @schema.adjourn_delete_finished_v1(%(ids)s::bigint[], %(statuses)s::text[]) id
