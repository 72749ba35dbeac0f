-- This transaction has stored jobs, or given them new values. Those that have a limit of their key get it, and wait for a place under it
-- before they are ready.
--   p_jobs: an array of objects, some with the members `limit_name`, `limit_key`, and `concurrency` and `rates` for a limit that is not stored.
--   p_ids, p_places: the jobs, and the place of each in p_jobs, from 1.
create function @schema.adjourn_limit_jobs_v1(p_jobs json, p_ids bigint[], p_places integer[]) returns void
language plpgsql as $$
declare
    v_ids bigint[];
    v_names text[];
    v_keys text[];
begin
    select array_agg(u.id), array_agg(g.value ->> 'limit_name'), array_agg(g.value ->> 'limit_key') into v_ids, v_names, v_keys
    from json_array_elements(p_jobs) with ordinality g(value, place) join unnest(p_ids, p_places) u(id, place) on u.place = g.place
    where g.value ->> 'limit_name' is not null;
    if v_ids is null then
        return;
    end if;
    -- Programs declare a limit before they name it. This is for one that was deleted since.
    insert into @schema.adjourn_limits (scope, name, concurrency, rates, is_declared, declared)
    select distinct on (o.value ->> 'limit_name') 'key', o.value ->> 'limit_name', (o.value ->> 'concurrency')::integer,
           nullif(o.value -> 'rates', 'null'), true,
           jsonb_build_object('concurrency', o.value -> 'concurrency', 'rates', o.value -> 'rates')
    from jsonb_array_elements(p_jobs::jsonb) o
    where o.value ->> 'limit_name' is not null
      and not exists (select from @schema.adjourn_limits l where l.scope = 'key' and l.name = o.value ->> 'limit_name')
    order by o.value ->> 'limit_name'
    on conflict do nothing;
    update @schema.adjourn_jobs j set limit_id = l.id, limit_key = u.key, special = true
    from unnest(v_ids, v_names, v_keys) u(id, name, key) join @schema.adjourn_limits l on l.scope = 'key' and l.name = u.name
    where j.id between u.id and u.id;
    perform @schema.adjourn_gate_v1(array(select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.hold + 0 = @ready));
end $$;
