-- Many jobs of a limit with rates were started under a key: merge what is noted of them. Of each rate's period two hundred rows are left at
-- most. Each is as late as the last start in it, so that no start is forgotten too early; it counts for half a percent of the period longer.
-- The caller holds the placing key alone.
create function @schema.adjourn_merge_starts_v1(p_limit_id integer, p_key text) returns void
language plpgsql as $$
declare
    v_periods double precision[] := array(
        select (rate ->> 1)::double precision from @schema.adjourn_limits l cross join jsonb_array_elements(l.rates) rate where l.id = p_limit_id
    );
    v_now timestamptz := clock_timestamp();
begin
    with gone as (
        delete from @schema.adjourn_starts s where s.limit_id = p_limit_id and s.limit_key = p_key returning s.at, s.n
    ), aged as (
        -- The shortest period in which it still counts.
        select gone.at, gone.n, (
            select min(period) from unnest(v_periods) period where gone.at > v_now - make_interval(secs => period)
        ) as period from gone
    )
    insert into @schema.adjourn_starts (limit_id, limit_key, at, n)
    select p_limit_id, p_key, max(aged.at), sum(aged.n) from aged where aged.period is not null
    group by aged.period, floor(extract(epoch from aged.at)::double precision / aged.period * 200);
end $$;
