-- Before a job is stored or rescheduled here: refuse it if its queueing lock is taken in Procrastinate's table, and hold it
-- while jobs of its lock are there. Before jobs are forwarded, every job with a lock is held.
create or replace function @schema.adjourn_procrastinate_hold_v1() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'INSERT' and new.waiting_queueing_lock is not null and exists (
        select from @theirs.procrastinate_jobs j where j.queueing_lock = new.waiting_queueing_lock and j.status = 'todo'
    ) then
        return null;
    end if;
    if new.lock is not null and (
        not (select p.forwarding from @schema.adjourn_procrastinate p)
        or exists (select from @theirs.procrastinate_jobs j where j.lock = new.lock and j.status in (@live))
    ) then
        new.hold := @held;
    end if;
    return new;
end $$;
