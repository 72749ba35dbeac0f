-- Tell those that wait for a job for which very many wait that it has ended, by a note for each.
--   p_waits: wait for another transaction that is doing so. Without it, what is locked is left for the next time.
create function @schema.adjourn_tell_large_v1(p_waits boolean) returns void
language plpgsql as $$
declare
    v_notes tid[];
begin
    if p_waits then
        v_notes := array(select a.ctid from @schema.adjourn_arrivals a where a.is_parent for update);
    else
        v_notes := array(select a.ctid from @schema.adjourn_arrivals a where a.is_parent for update skip locked);
    end if;
    with large as (
        delete from @schema.adjourn_arrivals a where a.ctid = any(v_notes) returning a.job_id, a.ended, a.failed, a.needless, a.reason
    )
    insert into @schema.adjourn_arrivals (job_id, ended, failed, needless, in_run, reason)
    select d.child_id, large.ended * (not d.in_run)::integer, large.failed * (not d.in_run)::integer, large.needless * (not d.in_run)::integer,
           large.ended * d.in_run::integer,
           case when not d.in_run then large.reason end
    from large
    join @schema.adjourn_dependencies d on d.parent_id = large.job_id and d.linked;
end $$;
