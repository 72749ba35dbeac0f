-- Jobs wait for a place under each of these limits and keys. Leave a note of those where there may be a free place. A job that has a place
-- there, and whose queue no worker serves, is set aside until one does. Returns how many notes there are.
create function @schema.adjourn_heal_keys_v1(p_ids integer[], p_keys text[]) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_noted integer;
    v_ids bigint[];
    v_queues text[];
    v_unserved text[];
begin
    insert into @schema.adjourn_open_limits (limit_id, limit_key)
    select u.id, u.key from unnest(p_ids, p_keys) u(id, key) left join @schema.adjourn_limits l on l.id = u.id
    where case
        -- A time that is later than any rate can say was noted before somebody set the clock back.
        when l.rates is not null then not exists (
            select from @schema.adjourn_due_rates d where d.limit_id = u.id and d.limit_key = u.key and d.at <= now() + make_interval(secs => (
                select max((rate ->> 1)::double precision) from jsonb_array_elements(l.rates) rate
            )) offset 0
        )
        when l.scope = 'key' then coalesce(l.concurrency > (
            select count(*) from (
                select from @schema.adjourn_jobs j where j.limit_id = l.id and j.limit_key = u.key and j.key_slot >= 0 limit l.concurrency
            ) few
        ), true)
        else true end;
    get diagnostics v_noted = row_count;

    select array_agg(held.id), array_agg(held.queue) into v_ids, v_queues from (
        select j.id, j.queue from unnest(p_ids, p_keys) u(id, key) join @schema.adjourn_limits l on l.id = u.id and l.scope = 'key' cross join lateral (
            select j.id, j.queue, j.hold, j.worker_id from @schema.adjourn_jobs j
            where j.limit_id = u.id and j.limit_key = u.key and j.key_slot is not null offset 0
        ) j
        where j.hold in (@ready, @apart, @unknown) and j.worker_id is null
        union all
        select j.id, j.queue from unnest(p_ids) u(id) join @schema.adjourn_limits l on l.id = u.id and l.scope = 'task' cross join lateral (
            select j.id, j.queue, j.hold, j.worker_id from @schema.adjourn_jobs j where j.task_name = l.name and j.task_slot is not null offset 0
        ) j
        where j.hold in (@ready, @apart, @unknown) and j.worker_id is null
    ) held;
    v_unserved := @schema.adjourn_unserved_v1(v_queues);
    if v_unserved <> '{}' then
        v_ids := array(select u.id from unnest(v_ids, v_queues) u(id, queue) where u.queue = any(v_unserved));
        begin
            perform pg_advisory_xact_lock(@placing_key);
        exception when lock_not_available then
            return v_noted;
        end;
        v_ids := array(
            select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold + 0 in (@ready, @apart, @unknown) and j.worker_id is null
            order by j.id limit @most_placed for update skip locked
        );
        perform @schema.adjourn_park_v1(v_ids);
        v_noted := v_noted + cardinality(v_ids);
    end if;
    return v_noted;
end $$;
