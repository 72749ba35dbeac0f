create index if not exists adjourn_jobs_held on @schema.adjourn_jobs (lock) where hold = @held;

drop trigger if exists adjourn_hold on @schema.adjourn_jobs;
create trigger adjourn_hold before insert on @schema.adjourn_jobs for each row
when ((new.lock is not null or new.waiting_queueing_lock is not null) and current_setting('adjourn.taking', true) is distinct from 'on')
execute function @schema.adjourn_procrastinate_hold_v1();

drop trigger if exists adjourn_hold_again on @schema.adjourn_jobs;
create trigger adjourn_hold_again before update of hold, lock on @schema.adjourn_jobs for each row
when (new.lock is not null and new.hold in (@unplaced, @scheduled) and (old.hold = @held or old.lock is distinct from new.lock)
      and current_setting('adjourn.taking', true) is distinct from 'on')
execute function @schema.adjourn_procrastinate_hold_v1();

drop trigger if exists adjourn_tick on @theirs.procrastinate_periodic_defers;
create trigger adjourn_tick before insert on @theirs.procrastinate_periodic_defers for each row
when (new.defer_timestamp is not null) execute function @schema.adjourn_procrastinate_tick_v1();

drop trigger if exists adjourn_register on @theirs.procrastinate_jobs;
create trigger adjourn_register before insert on @theirs.procrastinate_jobs for each row
when (new.status = 'todo' and new.queueing_lock is not null)
execute function @schema.adjourn_procrastinate_register_v1();
