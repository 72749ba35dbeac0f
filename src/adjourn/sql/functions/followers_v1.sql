-- The followers of these heads, and of locks that have lost their heads, that these workers have claimed.
create function @schema.adjourn_followers_v1(p_heads bigint[], p_workers bigint[]) returns bigint[]
language plpgsql as $$
begin
    return array(
        select f.id from (
            select j.lock, unnest(j.followers) as id from @schema.adjourn_jobs j where j.id = any(p_heads)
            union select n.lock, unnest(n.followers) from @schema.adjourn_headless_locks n
        ) known join @schema.adjourn_jobs f on f.id = known.id and f.lock = known.lock
        where f.hold <> @ready and f.worker_id = any(p_workers)
    );
end $$;
