update @schema.adjourn_jobs j set hold = case when j.scheduled_at > now() then @scheduled else @unplaced end where j.hold = @held;
drop index if exists @schema.adjourn_jobs_held;
drop index if exists @theirs.adjourn_live_locks;
do $$
declare
    v_function regprocedure;
begin
    for v_function in
        select p.oid from pg_proc p
        where p.pronamespace = @schema_name::regnamespace and starts_with(p.proname, 'adjourn_procrastinate_')
    loop
        execute 'drop function ' || v_function;
    end loop;
    if not exists (select from @schema.adjourn_migrated_ids) then
        drop table @schema.adjourn_migrated_ids;
    end if;
end $$;
drop table @schema.adjourn_procrastinate, @schema.adjourn_procrastinate_problems;
