-- A worker claims these jobs, some of which are special. Do what their start asks for. Returns what the worker has to know of them, as a
-- JSON object by their ids, or null.
create function @schema.adjourn_start_v1(p_ids bigint[]) returns json
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    if exists (select from @schema.adjourn_limits l where l.rates is not null) then
        -- Starts under rates: by this clock, since a transaction may have waited since it began.
        insert into @schema.adjourn_starts (limit_id, limit_key, at, n)
        select started.id, started.key, clock_timestamp(), count(*) from (
            select j.limit_id as id, j.limit_key as key from @schema.adjourn_jobs j where j.id = any(p_ids) and (j.key_slot is null) is false
            union all
            select l.id, '' from @schema.adjourn_jobs j join @schema.adjourn_limits l on l.scope = 'task' and l.name = j.task_name
            where j.id = any(p_ids) and (j.task_slot is null) is false
            union all
            select l.id, '' from @schema.adjourn_jobs j join @schema.adjourn_limits l on l.scope = 'queue' and l.name = j.queue
            where j.id = any(p_ids) and (j.queue_slot is null) is false
        ) started
        where exists (select from @schema.adjourn_limits l where l.id = started.id and l.rates is not null)
        group by started.id, started.key;
    end if;
    return (
        select json_object_agg(j.id, json_build_object('expires_at', j.expires_at, 'max_attempts', j.max_attempts)) from @schema.adjourn_jobs j
        where j.id = any(p_ids) and (j.expires_at is not null or j.max_attempts is not null)
    );
end $$;
