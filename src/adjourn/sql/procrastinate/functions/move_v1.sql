-- Move a batch of jobs that wait in Procrastinate's table, in the order of their ids. Jobs of a lock move together, or not at
-- all: if one of them runs, is refused, is in another queue, or is locked by another transaction, all of them stay.
--   p_queue: only jobs of this queue; null for all.
--   p_stalled_after: take over running jobs whose worker has been silent for so many seconds; null for none.
-- Returns the last id that was looked at, null for none, and how many jobs were moved and taken over.
create or replace function @schema.adjourn_procrastinate_move_v1(
    p_after bigint, p_limit integer, p_queue text, p_stalled_after double precision
) returns table (last_id bigint, moved integer, taken_over integer)
language plpgsql set search_path = pg_catalog, @theirs, pg_temp set lock_timeout = '500ms' as $$
declare
    v_ids bigint[];
    v_locks text[];
    v_group bigint[];
    v_all bigint[];
begin
    moved := 0; taken_over := 0;
    -- A rollback, which makes this false, may have begun.
    lock table @theirs.procrastinate_jobs in row exclusive mode;
    if not (select p.forwarding from @schema.adjourn_procrastinate p) then
        return next;
        return;
    end if;
    v_ids := array(
        select j.id from @theirs.procrastinate_jobs j
        where j.id > p_after and j.status in (@live) and (j.status = 'todo' or @stalled)
          and not @refused and (p_queue is null or j.queue_name = p_queue)
        order by j.id limit p_limit for update skip locked
    );
    last_id := v_ids[cardinality(v_ids)];
    v_locks := array(
        select distinct j.lock from @theirs.procrastinate_jobs j where j.id = any(v_ids) and j.lock is not null
    );
    v_group := array(
        select j.id from @theirs.procrastinate_jobs j
        where j.lock = any(v_locks) and j.status in (@live) and (j.status = 'todo' or @stalled)
          and not @refused and (p_queue is null or j.queue_name = p_queue)
        order by j.id for update skip locked
    );
    v_locks := array(
        select lock from unnest(v_locks) lock where lock not in (
            select j.lock from @theirs.procrastinate_jobs j left join unnest(v_group) g(id) on g.id = j.id
            where j.lock = any(v_locks) and j.status in (@live) and g.id is null
        )
    );
    v_all := array(
        select j.id from @theirs.procrastinate_jobs j
        where j.id = any(v_ids) and j.lock is null or j.id = any(v_group) and j.lock = any(v_locks)
    );
    if v_all <> '{}' then
        taken_over := (select count(*) from @theirs.procrastinate_jobs j where j.id = any(v_all) and j.status <> 'todo');
        moved := @schema.adjourn_procrastinate_take_v1(v_all, true);
    end if;
    return next;
end $$;
