-- Whether a job with this place, null for none, may not start under a limit with these numbers.
create function @schema.adjourn_lacks_place_v1(p_concurrency integer, p_rates jsonb, p_slot bigint) returns boolean
language sql immutable as $$
    select case when p_concurrency is not null then p_slot is null or p_slot not between 0 and p_concurrency - 1
                else p_rates is not null and p_slot is null end
$$;
