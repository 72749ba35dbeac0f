-- Clear results that have lapsed, those of p_limit exchanges, and return of how many exchanges. A job that another transaction
-- has locked, most likely to delete it or to run it again, keeps its result; nobody sees that.
create function @schema.adjourn_clear_results_v1(p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_due record;
    v_count integer := 0;
begin
    for v_due in
        delete from @schema.adjourn_lapses where ctid = any(array(
            select l.ctid from @schema.adjourn_lapses l where l.expires_at <= now() order by l.expires_at limit p_limit for update skip locked
        ))
        returning *
    loop
        update @schema.adjourn_finished_jobs set result = null where finished_at = v_due.finished_at and id = any(array(
            select f.id from @schema.adjourn_finished_jobs f
            where f.id = any(v_due.ids) and f.finished_at = v_due.finished_at and f.result_expires_at = v_due.expires_at
            for update skip locked
        ));
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;
