-- For tests: move the times of waiting jobs and the last ticks of schedules back, as if these seconds had passed.
with jobs as (
    update @schema.adjourn_jobs set
        scheduled_at = scheduled_at - make_interval(secs => %(seconds)s::double precision),
        expires_at = expires_at - make_interval(secs => %(seconds)s::double precision)
    where worker_id is null and coalesce(scheduled_at, expires_at) is not null
), steps as (
    update @schema.adjourn_steps set until = until - make_interval(secs => %(seconds)s::double precision) where not is_done
), events as (
    update @schema.adjourn_sent_events set expires_at = expires_at - make_interval(secs => %(seconds)s::double precision)
), schedules as (
    update @schema.adjourn_schedules set
        last_tick = last_tick - make_interval(secs => %(seconds)s::double precision),
        pause_ends_at = pause_ends_at - make_interval(secs => %(seconds)s::double precision)
), pauses as (
    update @schema.adjourn_pauses set ends_at = ends_at - make_interval(secs => %(seconds)s::double precision) where ends_at is not null
), ends as (
    update @schema.adjourn_due_rates set at = at - make_interval(secs => %(seconds)s::double precision) where limit_id = 0
)
select pg_notify(@channel, '')::text as woken
