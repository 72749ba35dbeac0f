-- A queue or task (p_scope) is paused: jobs of it that wait for places, or hold places of keys and tasks and have not begun, give way to others, a
-- page each time. (One that holds a place of a queue that is not paused gives it up when it would be claimed.) What the pause remembers of it is where the next page begins. One that comes later, or that another transaction has locked, is set aside
-- when it is its turn (adjourn_gate_v1). The caller holds the placing key alone. Returns whether more is left.
create function @schema.adjourn_set_aside_v1(p_scope text, p_name text) returns boolean
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set enable_bitmapscan = off set jit = off as $$
declare
    v_from jsonb;
    v_rest jsonb := '{}';
    v_ids bigint[];
    v_held bigint[];
    v_following jsonb;
begin
    select p.aside_from into v_from from @schema.adjourn_pauses p where p.scope = p_scope and p.name = p_name for update skip locked;
    if not found then
        return true;  -- somebody is about to resume it
    elsif v_from is null then
        return false;
    end if;
    if v_from -> 'gate' is not null then
        -- In the order of the index: what is left of a priority, of a key, and the keys that follow.
        with page as materialized (
            select * from (
                (select 1 as part, j.id, j.queue, j.task_name, j.gate_id, j.gate_key, j.priority, coalesce(j.turn, j.id) as turn
                 from @schema.adjourn_jobs j
                 where j.hold = @gate and j.gate_id = (v_from #>> '{gate, 0}')::integer and j.gate_key = v_from #>> '{gate, 1}'
                   and j.priority = (v_from #>> '{gate, 2}')::integer and coalesce(j.turn, j.id) >= (v_from #>> '{gate, 3}')::bigint
                 order by coalesce(j.turn, j.id) limit @most_placed + 1)
                union all
                (select 2, j.id, j.queue, j.task_name, j.gate_id, j.gate_key, j.priority, coalesce(j.turn, j.id) from @schema.adjourn_jobs j
                 where j.hold = @gate and j.gate_id = (v_from #>> '{gate, 0}')::integer and j.gate_key = v_from #>> '{gate, 1}'
                   and j.priority < (v_from #>> '{gate, 2}')::integer
                 order by j.priority desc, coalesce(j.turn, j.id) limit @most_placed + 1)
                union all
                (select 3, j.id, j.queue, j.task_name, j.gate_id, j.gate_key, j.priority, coalesce(j.turn, j.id) from @schema.adjourn_jobs j
                 where j.hold = @gate and (j.gate_id, j.gate_key) > ((v_from #>> '{gate, 0}')::integer, v_from #>> '{gate, 1}')
                 order by j.gate_id, j.gate_key, j.priority desc, coalesce(j.turn, j.id) limit @most_placed + 1)
            ) waiting
            order by waiting.part, waiting.gate_id, waiting.gate_key, waiting.priority desc, waiting.turn limit @most_placed + 1
        )
        select array(select page.id from page where case p_scope when 'queue' then page.queue else page.task_name end = p_name limit @most_placed),
               (select jsonb_build_array(page.gate_id, page.gate_key, page.priority, page.turn) from page offset @most_placed)
        into v_ids, v_following;
        v_rest := v_rest || jsonb_build_object('gate', v_following);
    end if;
    if v_from -> 'place' is not null then
        with page as materialized (
            select j.id, j.queue, j.task_name, j.hold, j.worker_id, j.limit_id, j.limit_key, j.key_slot from @schema.adjourn_jobs j
            where j.key_slot is not null and (j.limit_id, j.limit_key, j.key_slot)
                >= ((v_from #>> '{place, 0}')::integer, v_from #>> '{place, 1}', (v_from #>> '{place, 2}')::bigint)
            order by j.limit_id, j.limit_key, j.key_slot limit @most_placed + 1
        )
        select array(
                   select page.id from page
                   where page.hold in (@ready, @apart, @unknown) and page.worker_id is null
                     and case p_scope when 'queue' then page.queue else page.task_name end = p_name limit @most_placed
               ),
               (select jsonb_build_array(page.limit_id, page.limit_key, page.key_slot) from page offset @most_placed)
        into v_held, v_following;
        v_rest := v_rest || jsonb_build_object('place', v_following);
        v_ids := v_ids || v_held;
    end if;
    if v_from -> 'task' is not null then
        with page as materialized (
            select j.id, j.queue, j.task_name, j.hold, j.worker_id, j.task_slot from @schema.adjourn_jobs j
            where j.task_slot is not null and (j.task_name, j.task_slot) >= (v_from #>> '{task, 0}', (v_from #>> '{task, 1}')::bigint)
            order by j.task_name, j.task_slot limit @most_placed + 1
        )
        select array(
                   select page.id from page
                   where page.hold in (@ready, @apart, @unknown) and page.worker_id is null
                     and case p_scope when 'queue' then page.queue else page.task_name end = p_name limit @most_placed
               ),
               (select jsonb_build_array(page.task_name, page.task_slot) from page offset @most_placed)
        into v_held, v_following;
        v_rest := v_rest || jsonb_build_object('task', v_following);
        v_ids := v_ids || v_held;
    end if;
    perform @schema.adjourn_park_v1(array(
        select j.id from @schema.adjourn_jobs j
        where j.id = any(v_ids) and (j.hold + 0 = @gate or j.hold + 0 in (@ready, @apart, @unknown) and j.worker_id is null) for update skip locked
    ));
    v_rest := nullif(jsonb_strip_nulls(v_rest), '{}');
    update @schema.adjourn_pauses p set aside_from = v_rest where p.scope = p_scope and p.name = p_name;
    return v_rest is not null;
end $$;
