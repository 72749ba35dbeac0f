-- How many more jobs of a limit with rates may be admitted under a key now: of each rate the number, less those that were admitted and have not
-- started, less those that have started within the period. Any jobs that start within a period were all admitted when the last of them
-- was, so they were counted. Also when there is room again at the earliest, if all that there is now is given. `rows`: of how many rows
-- that is made.
create function @schema.adjourn_room_v1(p_limit_id integer, p_key text) returns table (room integer, look_at timestamptz, rows bigint)
language plpgsql as $$
declare
    v_limit @schema.adjourn_limits;
    v_rate jsonb;
    v_period interval;
    v_left bigint;
    v_oldest timestamptz;
    -- When this transaction began: it may claim a job itself, and says of it that it has started then.
    v_now timestamptz := now();
begin
    select * into v_limit from @schema.adjourn_limits l where l.id = p_limit_id;
    room := @most_placed;
    look_at := v_now;
    for v_rate in select * from jsonb_array_elements(v_limit.rates) loop
        v_period := make_interval(secs => (v_rate ->> 1)::double precision);
        -- One statement, so that a job is seen either waiting to start or started.
        select (v_rate ->> 0)::bigint - coalesce(sum(s.n), 0) - case v_limit.scope
            when 'key' then (
                select count(*) from @schema.adjourn_jobs j
                where j.limit_id = p_limit_id and j.limit_key = p_key and j.key_slot is not null and j.worker_id is null)
            when 'task' then (
                select count(*) from @schema.adjourn_jobs j
                where j.task_name = v_limit.name and j.task_slot is not null and j.worker_id is null)
            else (
                select count(*) from @schema.adjourn_jobs j
                where j.queue = v_limit.name and j.queue_slot is not null and j.worker_id is null)
        end, min(s.at), greatest(rows, count(*)) into v_left, v_oldest, rows
        from @schema.adjourn_starts s
        -- What is later than now was noted before somebody set the clock back.
        where s.limit_id = p_limit_id and s.limit_key = p_key and s.at > v_now - v_period and s.at <= clock_timestamp() + interval '1 s';
        -- Only the rates that leave the least room say when there is more.
        v_left := greatest(v_left, 0);
        if v_left < room then
            look_at := v_now;
        end if;
        if v_left <= room then
            look_at := greatest(look_at, coalesce(v_oldest, v_now) + v_period);
        end if;
        room := least(room, v_left);
    end loop;
    return next;
end $$;
