-- Leave a note of each worker that a rescue has declared dead: which it was, when it was last heard of, and what became of its jobs. The
-- rows of these workers are about to be deleted. One of whose jobs some were locked comes again, and is noted again if any were freed.
--   p_jobs, p_owners: the jobs that these workers had, and whose each was. p_failed: those of them that failed.
-- A worker may have said anything of itself: what is no text or no number is left out, and an outcome has the beginning of a long text.
-- Returns how many were noted for the first time, and the details of the first of these.
create function @schema.adjourn_note_deaths_v1(
    p_dead bigint[], p_jobs bigint[], p_owners bigint[], p_failed bigint[], p_by text, p_how text
) returns table (died integer, deaths text)
language plpgsql as $$
begin
    return query
    with had as (
        select owned.worker_id, array_agg(owned.id order by owned.id) as ids,
               coalesce(array_agg(owned.id order by owned.id) filter (where f.id is null), '{}') as freed,
               coalesce(array_agg(owned.id order by owned.id) filter (where f.id is not null), '{}') as failed
        from unnest(p_jobs, p_owners) owned(id, worker_id) left join unnest(p_failed) f(id) on f.id = owned.id
        group by owned.worker_id
    ), known as (
        select w.*, 'worker ' || w.id as target, coalesce(had.ids, '{}') as ids, coalesce(had.freed, '{}') as freed,
               coalesce(had.failed, '{}') as failed, w.expires_at < now() as is_silent,
               -- Somebody may have set it to any time by hand, infinite ones too.
               greatest(least(w.last_heartbeat_at, now()), to_timestamp(0)) as heard_at,
               case when jsonb_typeof(w.details -> 'host') = 'string' then w.details ->> 'host' end as host,
               case when jsonb_typeof(w.details -> 'pid') = 'number' and w.details ->> 'pid' ~ '^[0-9]{1,18}$'
                    then (w.details ->> 'pid')::bigint end as pid,
               case when jsonb_typeof(w.details -> 'rss') = 'number' and w.details ->> 'rss' ~ '^[0-9]{1,18}$'
                    then (w.details ->> 'rss')::bigint end as rss
        from @schema.adjourn_workers w left join had on had.worker_id = w.id where w.id = any(p_dead)
    ), told as (
        select k.*, jsonb_build_object(
                   'worker_id', k.id, 'name', k.name, 'host', k.host, 'pid', k.pid, 'rss', k.rss,
                   'started_at', k.started_at, 'last_heartbeat_at', k.heard_at, 'is_silent', k.is_silent,
                   'freed', cardinality(k.freed), 'failed', cardinality(k.failed),
                   'freed_ids', k.freed[1 : @rescued_ids], 'failed_ids', k.failed[1 : @rescued_ids]
               ) as known,
               not exists (
                   select from @schema.adjourn_audit a where a.target = k.target and a.action = 'worker.died' and a.at >= k.started_at
               ) as is_first
        from known k
    ), noted as (
        insert into @schema.adjourn_audit (actor, how, action, target, details, jobs, ids, outcome)
        select p_by, p_how, 'worker.died', t.target, t.known, cardinality(t.ids), t.ids[1 : @noted_ids],
               left(t.name, @noted_text) || coalesce(' on ' || left(t.host, @noted_text), '') || coalesce(', pid ' || t.pid, '')
               || case when t.is_silent then '' else ', left with jobs or was declared dead by hand' end
               || ', last heartbeat ' || to_char(t.heard_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC: '
               || case when t.ids = '{}' then 'it had no jobs'
                       else cardinality(t.freed) || ' of its jobs freed, ' || cardinality(t.failed) || ' failed' end
        from told t where t.is_first or t.ids <> '{}' order by t.id
    ), named as (
        select t.known, t.id from told t where t.is_first order by t.id limit @rescued_names
    )
    select (select count(*) from told where is_first)::integer,
           coalesce((select json_agg(n.known order by n.id) from named n), '[]')::text;
end $$;
