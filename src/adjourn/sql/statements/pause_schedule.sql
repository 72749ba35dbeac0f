select @schema.adjourn_pause_schedule_v1(
    %(task_name)s::text, %(periodic_id)s::text, %(cron)s::text, %(timezone)s::text, %(pause)s::boolean,
    %(seconds)s::double precision, %(until)s::timestamptz, %(by)s::text, %(reason)s::text
) as outcome
