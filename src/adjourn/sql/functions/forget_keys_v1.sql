-- Look at the next p_limit unique keys, and delete those whose job does not count any more. Keys that another transaction has locked
-- stay. Returns how many were deleted, and the key to continue after, null if there are no more.
create function @schema.adjourn_forget_keys_v1(p_after text, p_limit integer) returns table (forgotten integer, last_key text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_keys text[];
    v_looked integer;
begin
    select count(*), max(page.key), array_agg(page.key) filter (where page.is_over) into v_looked, last_key, v_keys
    from (
        select u.key, coalesce(u.keep_until <= now(), true) and not exists (select from @schema.adjourn_jobs j where j.id = u.job_id offset 0) as is_over
        from @schema.adjourn_unique_keys u where u.key > p_after order by u.key limit p_limit
    ) page;
    forgotten := 0;
    if v_keys is not null then
        v_keys := array(select u.key from @schema.adjourn_unique_keys u where u.key = any(v_keys) order by u.key for update skip locked);
        -- A job may have got one of the keys before that was locked, so look again.
        delete from @schema.adjourn_unique_keys u
        where u.key = any(v_keys) and coalesce(u.keep_until <= now(), true)
          and not exists (select from @schema.adjourn_jobs j where j.id = u.job_id offset 0);
        get diagnostics forgotten = row_count;
    end if;
    if v_looked < p_limit then
        last_key := null;
    end if;
    return next;
end $$;
