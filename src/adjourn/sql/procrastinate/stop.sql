drop trigger if exists to_adjourn on @theirs.procrastinate_jobs;
drop trigger if exists adjourn_register on @theirs.procrastinate_jobs;
drop trigger if exists adjourn_tick on @theirs.procrastinate_periodic_defers;
drop trigger if exists adjourn_hold on @schema.adjourn_jobs;
drop trigger if exists adjourn_hold_again on @schema.adjourn_jobs;
