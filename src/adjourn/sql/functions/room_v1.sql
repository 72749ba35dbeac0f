-- How many more jobs of a limit with rates may be admitted under a key now: of each rate the number, less those that were admitted and have not
-- started, less those that have started within the period. Any jobs that start within a period were all admitted when the last of them
-- was, so they were counted. Without room, also when to look again. `rows`: of how many rows that is made.
create function @schema.adjourn_room_v1(p_limit_id integer, p_key text) returns table (room integer, look_at timestamptz, rows bigint)
language plpgsql as $$
declare
    v_limit @schema.adjourn_limits;
    v_rate jsonb;
    v_used bigint;
    v_oldest timestamptz;
    v_now timestamptz := clock_timestamp();
begin
    select * into v_limit from @schema.adjourn_limits l where l.id = p_limit_id;
    room := @most_placed;
    for v_rate in select * from jsonb_array_elements(v_limit.rates) loop
        -- One statement, so that a job is seen either waiting to start or started.
        select coalesce(sum(s.n), 0) + case v_limit.scope
            when 'key' then (
                select count(*) from @schema.adjourn_jobs j
                where j.limit_id = p_limit_id and j.limit_key = p_key and j.key_slot is not null and j.worker_id is null)
            when 'task' then (
                select count(*) from @schema.adjourn_jobs j
                where j.task_name = v_limit.name and j.task_slot is not null and j.worker_id is null)
            else (
                select count(*) from @schema.adjourn_jobs j
                where j.queue = v_limit.name and j.queue_slot is not null and j.worker_id is null)
        end, min(s.at), greatest(rows, count(*)) into v_used, v_oldest, rows
        from @schema.adjourn_starts s
        where s.limit_id = p_limit_id and s.limit_key = p_key and s.at > v_now - make_interval(secs => (v_rate ->> 1)::double precision);
        room := least(room, (v_rate ->> 0)::bigint - v_used);
        if v_used >= (v_rate ->> 0)::bigint then
            look_at := greatest(look_at, coalesce(v_oldest, v_now) + make_interval(secs => (v_rate ->> 1)::double precision));
        end if;
    end loop;
    room := greatest(room, 0);
    return next;
end $$;
