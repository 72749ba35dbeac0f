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
    -- This statement sees what has ended meanwhile. A parent that is locked is still there, so it is left for the next time, and so is one
    -- that somebody is running again, and one that has not told all others yet.
    with gone as materialized (
        select d.parent_id, d.child_id, d.in_run from @schema.adjourn_dependencies d
        where d.child_id = any(p_ids) and not d.linked
          and not exists (select from @schema.adjourn_jobs j where j.id = d.parent_id offset 0)
          and not exists (select from @schema.adjourn_arrivals a where a.is_parent and a.job_id = d.parent_id)
    ), known as materialized (
        select f.id, case f.special ->> 'cause' when 'needless' then 'needless' else f.status end as status
        from @schema.adjourn_finished_jobs f where f.id in (select gone.parent_id from gone)
        order by f.id for key share skip locked
    ), ended as (
        update @schema.adjourn_dependencies d set linked = true from gone left join known on known.id = gone.parent_id
        where d.parent_id = gone.parent_id and d.child_id = gone.child_id and d.in_run = gone.in_run
          and (known.id is not null or not exists (select from @schema.adjourn_finished_jobs f where f.id = gone.parent_id offset 0))
        returning d.parent_id, d.child_id, d.in_run, case
            when known.status = 'succeeded' or d.in_run then null when known.status = 'failed' then ' failed' when known.status = 'needless' then ' was cancelled'
            else coalesce(' was ' || known.status, ' is gone') end as what, known.status = 'needless' and not d.in_run as is_needless
    )
    insert into @schema.adjourn_arrivals (job_id, ended, failed, needless, in_run, reason)
    select e.child_id, count(*) filter (where not e.in_run), count(e.what), count(*) filter (where e.is_needless), count(*) filter (where e.in_run), min(('job ' || e.parent_id || e.what) collate "C") from ended e group by e.child_id;
    update @schema.adjourn_jobs j set unlinked = null
    where j.id = any(p_ids) and not exists (select from @schema.adjourn_dependencies d where d.child_id = j.id and not d.linked);
    insert into @schema.adjourn_arrivals (job_id, ended, failed)
    select j.id, 0, 0 from @schema.adjourn_jobs j where j.id = any(p_ids) and j.unlinked;
end $$;
