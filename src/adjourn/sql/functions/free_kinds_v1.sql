-- The tasks, and queues of each, with jobs that were set aside, of which nothing is paused any more.
create function @schema.adjourn_free_kinds_v1() returns table (task_name text, queue text)
language sql as $$
    select kind.task_name, kind.queue from @schema.adjourn_paused_kinds_v1() kind where not exists (
        select from @schema.adjourn_pauses p where p.scope = 'task' and p.name = kind.task_name or p.scope = 'queue' and p.name = kind.queue
    )
$$;
