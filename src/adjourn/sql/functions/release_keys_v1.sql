-- Jobs are about to be deleted by hand: they do not count for their unique keys any more. A key that another transaction has locked
-- is not waited for.
create function @schema.adjourn_release_keys_v1(p_ids bigint[]) returns void
language sql as $$
    update @schema.adjourn_unique_keys set keep_until = null where key = any(array(
        select u.key from @schema.adjourn_unique_keys u where u.job_id = any(p_ids) and u.keep_until is not null order by u.key for update skip locked
    ));
$$;
