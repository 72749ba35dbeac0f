-- Whether something is paused, or a queue or task has a limit.
create function @schema.adjourn_is_restricted_v1() returns boolean
language sql as $$
    select exists (select from @schema.adjourn_pauses) or exists (
        select from @schema.adjourn_limits l where l.scope <> 'key' and (l.concurrency is not null or l.rates is not null)
    )
$$;
