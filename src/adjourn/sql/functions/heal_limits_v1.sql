-- Of the next p_limit keys of limits for whose places jobs wait, beginning with this one, leave a note of each that may have a free place
-- (adjourn_heal_keys_v1). Returns how many notes there are, and the limit and key that follow, as an array; null if none does. Of each key one
-- waiting job is read.
create function @schema.adjourn_heal_limits_v1(p_from_id integer, p_from_key text, p_limit integer, out noted integer, out following jsonb)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_ids integer[];
    v_keys text[];
begin
    noted := 0;
    -- In a new session planning what follows costs more than this look.
    if (select j.gate_id from @schema.adjourn_jobs j where j.hold = @gate order by j.gate_id, j.gate_key limit 1) is null then
        return;
    end if;
    with recursive waiting(id, key) as (
        (
            select j.gate_id, j.gate_key from @schema.adjourn_jobs j
            where j.hold = @gate and (j.gate_id, j.gate_key) >= (p_from_id, p_from_key) order by j.gate_id, j.gate_key limit 1
        )
        union all
        select next.gate_id, next.gate_key from waiting cross join lateral (
            select j.gate_id, j.gate_key from @schema.adjourn_jobs j
            where j.hold = @gate and (j.gate_id, j.gate_key) > (waiting.id, waiting.key) order by j.gate_id, j.gate_key limit 1
        ) next
    )
    select array_agg(page.id), array_agg(page.key) into v_ids, v_keys from (select waiting.id, waiting.key from waiting limit p_limit + 1) page;
    if v_ids is null then
        return;
    end if;
    if cardinality(v_ids) > p_limit then
        following := jsonb_build_array(v_ids[p_limit + 1], v_keys[p_limit + 1]);
    end if;
    noted := @schema.adjourn_heal_keys_v1(v_ids[1 : p_limit], v_keys[1 : p_limit]);
end $$;
