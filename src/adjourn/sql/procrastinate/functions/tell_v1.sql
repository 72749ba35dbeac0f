-- Record that a trigger has failed. It must never fail the program that has fired it, so this does not fail either.
create or replace function @schema.adjourn_procrastinate_tell_v1(p_what text, p_job_id bigint, p_message text) returns void
language plpgsql as $$
begin
    raise warning using message = concat('adjourn: ', p_what, ' (job ' || p_job_id || ')', ': ', p_message);
    insert into @schema.adjourn_procrastinate_problems (what, job_id, message) values (p_what, p_job_id, p_message);
exception when others then
    raise warning using message = concat('adjourn: this could not be recorded: ', sqlerrm);
end $$;
