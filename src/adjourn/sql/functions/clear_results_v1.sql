-- Clear results that have lapsed, p_limit at most, and return how many. Jobs that another transaction has locked keep theirs
-- until the next time; nobody sees those results.
create function @schema.adjourn_clear_results_v1(p_limit integer) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_cleared integer;
begin
    with lapsed as materialized (
        select f.id, f.finished_at from @schema.adjourn_finished_jobs f
        where f.result_expires_at <= now() and f.result is not null
        order by f.result_expires_at limit p_limit for update skip locked
    )
    update @schema.adjourn_finished_jobs f set result = null
    from lapsed where f.id = lapsed.id and f.finished_at = lapsed.finished_at;
    get diagnostics v_cleared = row_count;
    return v_cleared;
end $$;
