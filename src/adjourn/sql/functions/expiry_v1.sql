-- When a new job expires, which is due at p_due (null: now): at a time, or so many seconds after it is due; null for never.
create function @schema.adjourn_expiry_v1(p_at timestamptz, p_in double precision, p_due timestamptz) returns timestamptz
language sql stable as $$
    select coalesce(p_at, greatest(p_due, now()) + make_interval(secs => p_in))
$$;
