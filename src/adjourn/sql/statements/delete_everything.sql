-- For tests: delete all jobs, workers and schedules.
with jobs as (delete from @schema.adjourn_jobs returning 1),
     finished as (delete from @schema.adjourn_finished_jobs),
     unique_keys as (delete from @schema.adjourn_unique_keys),
     lapses as (delete from @schema.adjourn_lapses),
     steps as (delete from @schema.adjourn_steps),
     sent_events as (delete from @schema.adjourn_sent_events),
     event_notes as (delete from @schema.adjourn_event_notes),
     edges as (delete from @schema.adjourn_dependencies),
     arrivals as (delete from @schema.adjourn_arrivals),
     workflows as (delete from @schema.adjourn_workflows),
     locks as (delete from @schema.adjourn_headless_locks),
     limits as (delete from @schema.adjourn_limits),
     notes as (delete from @schema.adjourn_open_limits),
     starts as (delete from @schema.adjourn_starts),
     rates as (delete from @schema.adjourn_due_rates),
     stats as (delete from @schema.adjourn_stats),
     pauses as (delete from @schema.adjourn_pauses),
     schedules as (delete from @schema.adjourn_schedules)
-- Workers that have jobs would stay.
delete from @schema.adjourn_workers where (select count(*) from jobs) is not null
