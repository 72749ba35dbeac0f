-- Of the next p_limit starts under rates, beginning with this one, delete those that no rate asks for any more. Returns the limit, key and time of
-- the one that follows, as an array; null if none does.
create function @schema.adjourn_heal_starts_v1(p_from_id integer, p_from_key text, p_from_at timestamptz, p_limit integer) returns jsonb
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off set jit = off as $$
declare
    v_following jsonb;
begin
    if not exists (select from @schema.adjourn_starts) then
        return null;
    end if;
    with page as materialized (
        select s.ctid as place, s.limit_id, s.limit_key, s.at from @schema.adjourn_starts s
        where (s.limit_id, s.limit_key, s.at) >= (p_from_id, p_from_key, p_from_at)
        order by s.limit_id, s.limit_key, s.at limit p_limit + 1
    ), period as materialized (
        select l.id, max((rate ->> 1)::double precision) as seconds
        from @schema.adjourn_limits l cross join jsonb_array_elements(l.rates) rate group by l.id
    ), over as materialized (
        select s.ctid as place from @schema.adjourn_starts s
        where s.ctid = any(array(
            select page.place from page left join period on period.id = page.limit_id
            where page.at < now() - make_interval(secs => coalesce(period.seconds, 0))
        )) for update skip locked
    ), gone as (
        delete from @schema.adjourn_starts s where s.ctid = any(array(select over.place from over))
    )
    select jsonb_build_array(page.limit_id, page.limit_key, page.at) into v_following from page offset p_limit;
    return nullif(v_following, jsonb_build_array(p_from_id, p_from_key, p_from_at));
end $$;
