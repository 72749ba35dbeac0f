-- Leave notes wherever jobs wait for places under a limit (null: under each), for the worker that places jobs.
create function @schema.adjourn_note_limit_v1(p_id integer) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    with recursive waiting(id, key) as (
        (
            select j.gate_id, j.gate_key from @schema.adjourn_jobs j
            where j.hold = @gate and j.gate_id >= coalesce(p_id, 0) order by j.gate_id, j.gate_key limit 1
        )
        union all
        select next.gate_id, next.gate_key from waiting cross join lateral (
            select j.gate_id, j.gate_key from @schema.adjourn_jobs j
            where j.hold = @gate and (j.gate_id, j.gate_key) > (waiting.id, waiting.key) order by j.gate_id, j.gate_key limit 1
        ) next
        where p_id is null or next.gate_id = p_id
    )
    select waiting.id, waiting.key from waiting where p_id is null or waiting.id = p_id;
end $$;
