-- Whether a worker lives that serves a queue.
create function @schema.adjourn_is_served_v1(p_queue text) returns boolean
language sql stable as $$
    select exists (
        select from @schema.adjourn_workers w
        where not w.dead and w.expires_at > now() and (w.queues is null or p_queue = any(w.queues))
    )
$$;
