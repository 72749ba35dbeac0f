insert into @schema.adjourn_stats (at, level, queue, task_name, outcome, jobs, run_seconds, wait_seconds, run_counts, wait_counts)
select date_trunc('minute', now()), 0, s.queue, s.task_name, s.outcome, s.jobs, s.run_seconds, s.wait_seconds, s.run_counts, s.wait_counts
from jsonb_to_recordset(%(stats)s::text::jsonb) as s(
    queue text, task_name text, outcome text, jobs bigint, run_seconds double precision, wait_seconds double precision,
    run_counts bigint[], wait_counts bigint[]
)
