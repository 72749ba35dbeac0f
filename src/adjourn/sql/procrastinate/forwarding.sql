drop trigger if exists adjourn_forward on @theirs.procrastinate_jobs;
-- Deferred, because Procrastinate still changes the row of a periodic job in the transaction that stores it.
create constraint trigger adjourn_forward after insert or update of status on @theirs.procrastinate_jobs
deferrable initially deferred for each row when (new.status = 'todo')
execute function @schema.adjourn_procrastinate_forward_v1();
