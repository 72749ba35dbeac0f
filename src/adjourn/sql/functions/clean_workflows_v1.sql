-- Delete workflows that have ended longer ago than p_age and have no jobs left, and look at the next p_limit rows of adjourn_dependencies
-- after p_after_id: delete those whose jobs are gone. Returns the id to continue after, null if there are no more.
create function @schema.adjourn_clean_workflows_v1(p_age interval, p_after_id bigint, p_limit integer) returns bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_last bigint;
    v_looked integer;
begin
    if p_after_id = 0 then
        delete from @schema.adjourn_workflows w where w.id = any(array(
            select o.id from @schema.adjourn_workflows o
            where o.finished_at < now() - p_age and not exists (
                select from @schema.adjourn_finished_jobs f
                where f.id between o.first_id and o.last_id and (f.special ->> 'workflow_id')::bigint = o.id
            )
            order by o.id for update skip locked
        ));
    end if;
    select count(*), max(page.parent_id) into v_looked, v_last from (
        select d.parent_id from @schema.adjourn_dependencies d where d.parent_id > p_after_id order by d.parent_id, d.child_id limit p_limit
    ) page;
    -- All rows of the last parent, too: the next page begins with another.
    delete from @schema.adjourn_dependencies d
    where d.parent_id > p_after_id and d.parent_id <= v_last
      and not exists (select from @schema.adjourn_jobs j where j.id = d.child_id offset 0)
      and not exists (select from @schema.adjourn_finished_jobs f where f.id = d.child_id offset 0);
    return case when v_looked = p_limit then v_last end;
end $$;
