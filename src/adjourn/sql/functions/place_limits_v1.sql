-- Give free places under limits to jobs that wait for them: where a note says that there may be both, and where a rate has room again.
-- The caller holds the placing key alone. Returns how many jobs are ready because of it.
create function @schema.adjourn_place_limits_v1() returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_ready integer := 0;
    v_notes tid[];
    v_ids integer[];
    v_keys text[];
    v_slots bigint[];
    v_limit_ids integer[];
    v_limit_keys text[];
    v_at record;
begin
    -- A job that passes a limit may leave a note at the next. What was paused or resumed has one page a transaction: all wait for who places.
    for v_round in 1 .. 3 loop
        with note as materialized (
            select o.ctid as place, o.limit_id, o.limit_key from @schema.adjourn_open_limits o where o.limit_id > 0 or v_round = 1 limit @most_notes
        ), chosen as materialized (
            select either.limit_id, either.limit_key from (
                select note.limit_id, note.limit_key from note
                union
                select d.limit_id, d.limit_key from @schema.adjourn_due_rates d where d.at <= now()
            ) either limit @most_keys
        )
        select array_agg(chosen.limit_id), array_agg(chosen.limit_key),
               (select array_agg(note.place) from note join chosen using (limit_id, limit_key))
        into v_ids, v_keys, v_notes from chosen;
        exit when v_ids is null;
        delete from @schema.adjourn_open_limits o where o.ctid = any(v_notes);
        delete from @schema.adjourn_due_rates d using unnest(v_ids, v_keys) u(id, key) where d.limit_id = u.id and d.limit_key = u.key;

        -- Keys, of which there may be many, all at once.
        select array_agg(l.id), array_agg(u.key), array_agg(free.slot) into v_limit_ids, v_limit_keys, v_slots
        from unnest(v_ids, v_keys) u(id, key) join @schema.adjourn_limits l on l.id = u.id cross join lateral (
            select s as slot from generate_series(0, l.concurrency - 1) s
            where not exists (
                select from @schema.adjourn_jobs j where j.limit_id = l.id and j.limit_key = u.key and j.key_slot = s offset 0
            )
            -- As many jobs run beyond a limit that was lowered.
            order by s offset (
                select count(*) from @schema.adjourn_jobs j where j.limit_id = l.id and j.limit_key = u.key and j.key_slot >= l.concurrency
            ) limit @most_placed
        ) free
        where l.scope = 'key' and l.rates is null and exists (
            -- With `offset 0` each key is looked up. Otherwise all waiting jobs might be read.
            select from @schema.adjourn_jobs j where j.hold = @gate and j.gate_id = l.id and j.gate_key = u.key offset 0
        );
        if v_limit_ids is not null then
            v_ready := v_ready + cardinality(@schema.adjourn_serve_v1(v_limit_ids, v_limit_keys, v_slots));
        end if;
        for v_at in
            select u.id, u.key from unnest(v_ids, v_keys) u(id, key) left join @schema.adjourn_limits l on l.id = u.id
            where l.id is null or l.scope <> 'key' or l.rates is not null or l.concurrency is null or l.concurrency > @most_placed
        loop
            if v_at.id = 0 then
                v_ready := v_ready + @schema.adjourn_place_paused_v1(v_at.key);
            else
                v_slots := @schema.adjourn_free_places_v1(v_at.id, v_at.key);
                if v_slots <> '{}' then
                    v_ready := v_ready + cardinality(@schema.adjourn_serve_v1(
                        array_fill(v_at.id, array[cardinality(v_slots)]), array_fill(v_at.key, array[cardinality(v_slots)]), v_slots
                    ));
                end if;
            end if;
        end loop;
    end loop;
    return v_ready;
end $$;
