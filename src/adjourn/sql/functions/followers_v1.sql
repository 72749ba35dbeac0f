-- The followers of these heads, and of locks that have lost their heads, that these workers have claimed.
create function @schema.adjourn_followers_v1(p_heads bigint[], p_workers bigint[]) returns bigint[]
language plpgsql as $$
declare
    v_ids bigint[] := array(
        select unnest(j.followers) from @schema.adjourn_jobs j where j.id = any(p_heads)
        union all select unnest(n.followers) from @schema.adjourn_headless_locks n
    );
begin
    return array(select f.id from @schema.adjourn_jobs f where f.id = any(v_ids) and f.hold <> @ready and f.worker_id = any(p_workers));
end $$;
