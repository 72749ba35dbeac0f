-- Delete those of these jobs that have ended, with one of these statuses (null: any), and return their ids. Jobs that another transaction has locked stay.
create function @schema.adjourn_delete_finished_v1(p_ids bigint[], p_statuses text[]) returns setof bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_ids bigint[] := array(
        select o.id from @schema.adjourn_finished_jobs o where o.id = any(p_ids) and (p_statuses is null or o.status = any(p_statuses))
        order by o.id for update skip locked
    );
begin
    perform @schema.adjourn_release_keys_v1(v_ids);
    return query delete from @schema.adjourn_finished_jobs f where f.id = any(v_ids) returning f.id;
end $$;
