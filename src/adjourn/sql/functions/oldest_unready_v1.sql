-- Since when the oldest job of each of these queues (null: all) could have run that no worker has made ready: those that are due, and those
-- with a free lock that none has placed. Those of p_paused and p_paused_tasks do not count. Among the first 1,000 of either kind.
create function @schema.adjourn_oldest_unready_v1(p_queues text[], p_paused text[], p_paused_tasks text[])
returns table (queue text, since timestamptz)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set jit = off as $$
begin
    return query
    select waits.queue, min(waits.since) from (
        (select due.queue, due.scheduled_at as since
         from (select j.queue, j.task_name, j.scheduled_at from @schema.adjourn_jobs j
               where j.hold = @scheduled and j.scheduled_at <= now() order by j.scheduled_at limit 10000) due
         where (p_queues is null or due.queue = any(p_queues)) and due.queue <> all(p_paused) and due.task_name <> all(p_paused_tasks) limit 1000)
        union all
        select few.queue, greatest(few.enqueued_at, few.scheduled_at, few.ready_at)
        from (select unplaced.*
              from (select j.queue, j.task_name, j.lock, j.enqueued_at, j.scheduled_at, j.ready_at from @schema.adjourn_jobs j
                    where j.hold = @unplaced order by j.id limit 10000) unplaced
              where (p_queues is null or unplaced.queue = any(p_queues)) and unplaced.queue <> all(p_paused)
                and unplaced.task_name <> all(p_paused_tasks) limit 1000) few
        where coalesce(few.scheduled_at <= now(), true)
          and not exists (select from @schema.adjourn_jobs head where head.lock = few.lock and head.lock is not null and head.hold in (@heads))
    ) waits
    group by waits.queue;
end $$;
