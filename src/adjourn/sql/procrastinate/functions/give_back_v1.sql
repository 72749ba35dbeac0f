-- Give a batch of jobs that wait here back to Procrastinate, under the ids that it knows, and return how many. Jobs of a lock
-- go together, or not at all.
create or replace function @schema.adjourn_procrastinate_give_back_v1(p_limit integer) returns integer
language plpgsql set search_path = pg_catalog, @theirs, pg_temp set lock_timeout = '500ms' as $$
declare
    v_ids bigint[];
    v_locks text[];
    v_group bigint[];
    v_given integer;
begin
    v_ids := array(
        select j.id from @schema.adjourn_jobs j where j.worker_id is null and length(j.queue) <= 128 and length(j.task_name) <= 128
        order by j.id limit p_limit for update skip locked
    );
    v_locks := array(select distinct j.lock from @schema.adjourn_jobs j where j.id = any(v_ids) and j.lock is not null);
    v_group := array(
        select j.id from @schema.adjourn_jobs j where j.lock = any(v_locks) and j.worker_id is null order by j.id for update skip locked
    );
    v_locks := array(
        select lock from unnest(v_locks) lock where lock not in (
            select j.lock from @schema.adjourn_jobs j left join unnest(v_group) g(id) on g.id = j.id
            where j.lock = any(v_locks) and (g.id is null or length(j.queue) > 128 or length(j.task_name) > 128)
        )
    );
    with gone as (
        delete from @schema.adjourn_jobs j
        where j.id = any(v_ids) and j.lock is null or j.id = any(v_group) and j.lock = any(v_locks)
        returning j.*
    ), theirs as materialized (
        -- With ids of their own in both systems, theirs may have given ours to another job.
        select g.*, coalesce(m.old_id, case
                   when p.map_ids then nextval(pg_get_serial_sequence(@theirs_name || '.procrastinate_jobs', 'id')) else g.id
               end) as their_id
        from gone g cross join @schema.adjourn_procrastinate p left join @schema.adjourn_migrated_ids m on m.new_id = g.id
        order by g.id
    ), mapped as (
        insert into @schema.adjourn_migrated_ids (old_id, new_id) select t.their_id, t.id from theirs t where t.their_id <> t.id
        on conflict do nothing
    ), given as (
        insert into @theirs.procrastinate_jobs (
            id, queue_name, task_name, priority, lock, queueing_lock, args, status, scheduled_at, attempts
        )
        select g.their_id, g.queue, g.task_name, g.priority, g.lock,
               case when not exists (
                   select from @theirs.procrastinate_jobs w where w.queueing_lock = g.waiting_queueing_lock and w.status = 'todo'
               ) then g.waiting_queueing_lock end,
               g.args, 'todo', g.scheduled_at, g.attempts
        from theirs g order by g.id
        -- It had ended there, and was retried here.
        on conflict (id) do update set status = 'todo', scheduled_at = excluded.scheduled_at, attempts = excluded.attempts,
            priority = excluded.priority, queue_name = excluded.queue_name, lock = excluded.lock, queueing_lock = excluded.queueing_lock
        returning 1
    )
    select count(*) into v_given from given;
    return v_given;
end $$;
