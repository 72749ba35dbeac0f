-- The places under one limit that can be given to jobs that wait for them under a key, up to @most_placed; without a number of jobs at
-- once, as many nulls as there may be jobs. If there may be more later, notes when to look again.
create function @schema.adjourn_free_places_v1(p_limit_id integer, p_key text) returns bigint[]
language plpgsql as $$
declare
    v_limit @schema.adjourn_limits;
    v_room record;
    v_free bigint[] := array_fill(null::bigint, array[@most_placed]);
    v_beyond integer := 0;
begin
    select * into v_limit from @schema.adjourn_limits l where l.id = p_limit_id;
    if not exists (select from @schema.adjourn_jobs j where j.hold = @gate and j.gate_id = p_limit_id and j.gate_key = p_key) then
        return '{}';
    end if;
    if v_limit.concurrency is not null and v_limit.scope = 'key' then
        v_free := array(
            select s from generate_series(0, v_limit.concurrency - 1) s where not exists (
                select from @schema.adjourn_jobs j where j.limit_id = p_limit_id and j.limit_key = p_key and j.key_slot = s
            ) limit @most_placed
        );
        v_beyond := (
            select count(*) from @schema.adjourn_jobs j
            where j.limit_id = p_limit_id and j.limit_key = p_key and j.key_slot >= v_limit.concurrency
        );
    elsif v_limit.concurrency is not null and v_limit.scope = 'task' then
        v_free := array(
            select s from generate_series(0, v_limit.concurrency - 1) s where not exists (
                select from @schema.adjourn_jobs j where j.task_name = v_limit.name and j.task_slot = s
            ) limit @most_placed
        );
        v_beyond := (select count(*) from @schema.adjourn_jobs j where j.task_name = v_limit.name and j.task_slot >= v_limit.concurrency);
    elsif v_limit.concurrency is not null then
        v_free := array(
            select s from generate_series(0, v_limit.concurrency - 1) s where not exists (
                select from @schema.adjourn_jobs j where j.queue = v_limit.name and j.queue_slot = s
            ) limit @most_placed
        );
        v_beyond := (select count(*) from @schema.adjourn_jobs j where j.queue = v_limit.name and j.queue_slot >= v_limit.concurrency);
    end if;
    -- As many jobs run beyond a limit that was lowered.
    v_free := v_free[1 + v_beyond :];
    if v_limit.rates is not null then
        select room.room, room.look_at, room.rows into v_room from @schema.adjourn_room_v1(p_limit_id, p_key) room;
        v_free := v_free[1 : v_room.room];
        if v_room.rows > @most_placed then
            perform @schema.adjourn_merge_starts_v1(p_limit_id, p_key);
        end if;
        if cardinality(v_free) = v_room.room then
            -- Starts may be close to each other: a look is not worth its cost for each of them.
            insert into @schema.adjourn_due_rates (limit_id, limit_key, at)
            values (p_limit_id, p_key, greatest(v_room.look_at, clock_timestamp() + least(interval '20 ms', (
                select min(make_interval(secs => (rate ->> 1)::double precision)) from jsonb_array_elements(v_limit.rates) rate
            ) / 20)));
        end if;
    end if;
    if cardinality(v_free) = @most_placed then
        insert into @schema.adjourn_open_limits (limit_id, limit_key) values (p_limit_id, p_key);
    end if;
    return v_free;
end $$;
