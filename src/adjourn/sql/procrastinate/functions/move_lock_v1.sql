-- Move the jobs of one lock, and wait for the one that runs to end, so long as p_patience says. Meanwhile no other is
-- claimed. Returns how many jobs were moved.
create or replace function @schema.adjourn_procrastinate_move_lock_v1(p_lock text, p_queue text, p_patience double precision)
returns integer
language plpgsql set search_path = pg_catalog, @theirs, pg_temp set lock_timeout = '500ms' as $$
declare
    v_until timestamptz := clock_timestamp() + make_interval(secs => p_patience);
    v_group bigint[];
    v_left text;
begin
    -- A rollback, which makes this false, may have begun.
    lock table @theirs.procrastinate_jobs in row exclusive mode;
    if not (select p.forwarding from @schema.adjourn_procrastinate p) then
        return 0;
    end if;
    loop
        v_group := array(
            select j.id from @theirs.procrastinate_jobs j
            where j.lock = p_lock and j.status = 'todo' and not @refused and (p_queue is null or j.queue_name = p_queue)
            order by j.id for update skip locked
        );
        v_left := (
            select min(case when j.status = 'todo' then 'todo' else 'doing' end)
            from @theirs.procrastinate_jobs j left join unnest(v_group) g(id) on g.id = j.id
            where j.lock = p_lock and j.status in (@live) and g.id is null
        );
        exit when v_left is null;
        if v_group = '{}' or clock_timestamp() > v_until then
            return 0;
        end if;
        perform pg_sleep(0.005);
    end loop;
    return @schema.adjourn_procrastinate_take_v1(v_group, true);
end $$;
