drop trigger if exists to_adjourn on @theirs.procrastinate_jobs;
-- Deferred, because Procrastinate still changes the row of a periodic job in the transaction that stores it. Its name comes after
-- those of Procrastinate's triggers, which a program that sets constraints immediate fires before this one.
create constraint trigger to_adjourn after insert or update of status on @theirs.procrastinate_jobs
deferrable initially deferred for each row when (new.status = 'todo')
execute function @schema.adjourn_procrastinate_forward_v1();
