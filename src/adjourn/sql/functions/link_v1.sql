-- Tell jobs that live already which of these jobs wait for them. The caller has locked the rows of p_ids.
create function @schema.adjourn_link_v1(p_ids bigint[]) returns void
language plpgsql as $$
declare
    v_parents bigint[] := array(
        select distinct d.parent_id from @schema.adjourn_dependencies d where d.child_id = any(p_ids) and not d.linked
    );
    v_live bigint[] := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(v_parents) order by j.id for update skip locked
    );
begin
    update @schema.adjourn_jobs j set has_dependents = true, special = true where j.id = any(v_live);
    update @schema.adjourn_dependencies d set linked = true where d.child_id = any(p_ids) and d.parent_id = any(v_live);
    -- This statement sees what has ended meanwhile. A parent that is locked is still there, so it is left for the next time.
    with ended as (
        update @schema.adjourn_dependencies d set linked = true
        where d.child_id = any(p_ids) and not d.linked
          and not exists (select from @schema.adjourn_jobs j where j.id = d.parent_id)
        returning d.parent_id, d.child_id, d.place
    )
    insert into @schema.adjourn_arrivals (job_id, ended, failed)
    select e.child_id, count(*), count(*) filter (where e.place is distinct from @in_a_run and not exists (
        select from @schema.adjourn_finished_jobs f where f.id = e.parent_id and f.status = 'succeeded'
    )) from ended e group by e.child_id;
    update @schema.adjourn_jobs j set unlinked = null
    where j.id = any(p_ids) and not exists (select from @schema.adjourn_dependencies d where d.child_id = j.id and not d.linked);
    insert into @schema.adjourn_arrivals (job_id, ended, failed)
    select j.id, 0, 0 from @schema.adjourn_jobs j where j.id = any(p_ids) and j.unlinked;
end $$;
