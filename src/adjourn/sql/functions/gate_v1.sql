-- These special jobs are due, nobody runs them, and each is the head of its lock if it has one. Send each to the next limit that it has
-- to pass, and leave a note there; have one wait whose queue or task is paused, and give up the places that it holds. Others are ready.
create function @schema.adjourn_gate_v1(p_ids bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_ids bigint[];
    v_gates integer[];
    v_keys text[];
begin
    if p_ids = '{}' or not exists (select from @schema.adjourn_limits) and not exists (select from @schema.adjourn_pauses) then
        return;
    end if;
    if exists (select from @schema.adjourn_pauses) then
        perform @schema.adjourn_park_v1(array(
            select j.id from @schema.adjourn_jobs j where j.id = any(p_ids) and exists (
                select from @schema.adjourn_pauses p
                where p.scope = 'queue' and p.name = j.queue or p.scope = 'task' and p.name = j.task_name
            )
        ));
    end if;
    -- A limit that was set since comes before one that a job has passed. It gives up that place, as everybody takes places in one order: two
    -- jobs would wait for each other's otherwise.
    perform @schema.adjourn_give_up_v1(array(
        select j.id from @schema.adjourn_jobs j
        where j.id = any(p_ids) and j.hold in (@ready, @apart) and case
            when j.task_slot is null and j.queue_slot is null then false
            when j.limit_id is not null and j.key_slot is null
                 and exists (select from @schema.adjourn_limits l where l.id = j.limit_id and (l.concurrency is not null or l.rates is not null)) then true
            when j.task_slot is null then exists (
                select from @schema.adjourn_limits l
                where l.scope = 'task' and l.name = j.task_name and (l.concurrency is not null or l.rates is not null)
            ) else false end
    ));
    -- Most of them are alike.
    select array_agg(job.id), array_agg(next.limit_id), array_agg(case when next.limit_id = kind.limit_id then job.key else '' end)
    into v_ids, v_gates, v_keys
    from (
        select array_agg(j.id) as ids, array_agg(j.limit_key) as keys, case when j.key_slot is null then j.limit_id end as limit_id,
               j.task_name, min(j.task_slot) as task_slot, j.queue, min(j.queue_slot) as queue_slot
        from @schema.adjourn_jobs j where j.id = any(p_ids) and j.hold in (@ready, @apart)
        group by 3, j.task_name, j.queue, j.task_slot is null, j.queue_slot is null
    ) kind
    cross join lateral @schema.adjourn_next_gate_v1(
        kind.limit_id, '', null, kind.task_name, kind.task_slot, kind.queue, kind.queue_slot
    ) next
    cross join lateral unnest(kind.ids, kind.keys) job(id, key);
    if v_ids is null then
        return;
    end if;
    with sent as (
        update @schema.adjourn_jobs j set hold = @gate, gate_id = u.gate_id, gate_key = u.gate_key
        from unnest(v_ids, v_gates, v_keys) u(id, gate_id, gate_key) where j.id between u.id and u.id
        returning j.gate_id, j.gate_key
    )
    insert into @schema.adjourn_open_limits (limit_id, limit_key) select distinct sent.gate_id, sent.gate_key from sent;
end $$;
