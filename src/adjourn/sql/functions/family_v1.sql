-- Who comes back if these jobs, which have ended, are to be run again: with them those that were cancelled because of them, and so on. One
-- that would have to be cancelled again because of others stays as it is.
--   p_seeds: the jobs. p_forced: those of them that come back whatever became of the jobs that they have waited for.
-- Returns
--   again, pending, failed: who comes back, for how many jobs each waits (for those that come back, too, and for those that have not
--     ended), and how many of the others that it has waited for have failed, as adjourn_arrive_v1 counts them.
--   flows: their workflows.
--   ended, live: the rows that the caller has to lock, so that all this stays as it is: those of jobs that have ended, and those of others.
--   children, ended_less, failed_less: who waits still, and has counted the ends of how many jobs that come back, and of how many as failed.
--   pardoned, pardoned_by: which failed job does not keep which of p_forced from running.
create function @schema.adjourn_family_v1(p_seeds bigint[], p_forced bigint[]) returns table (
    again bigint[], pending integer[], failed integer[], flows bigint[], ended bigint[], live bigint[],
    children bigint[], ended_less integer[], failed_less integer[], pardoned bigint[], pardoned_by bigint[]
)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_reach bigint[];
    v_flows bigint[];
    v_parents bigint[];
    v_children bigint[];
    v_counted boolean[];
    v_unneeded boolean[];
    v_ids bigint[];
    v_pending integer[];
    v_failed integer[];
    v_needless integer[];
    v_rules integer[];
    v_bad_parents bigint[];
    v_bad_children bigint[];
    v_out bigint[] := '{}';
    v_more bigint[];
begin
    -- A set of ids may be large. `(id in (select unnest(ids))) is true` looks each up in a hash table; `= any` would compare it with all.
    with recursive reach(id) as (
        select f.id from @schema.adjourn_finished_jobs f where f.id = any(p_seeds)
        union
        select c.id from reach r
        cross join lateral (
            select d.child_id from @schema.adjourn_dependencies d where d.parent_id = r.id
            union all
            select (f.special ->> 'next_id')::bigint from @schema.adjourn_finished_jobs f where f.id = r.id and f.special ? 'next_id'
        ) e cross join lateral (
            select c.id, c.status, c.special from @schema.adjourn_finished_jobs c where c.id = e.child_id offset 0
        ) c
        where c.status = 'cancelled' and c.special ->> 'cause' in ('jobs', 'needless')
    )
    select coalesce(array_agg(reach.id order by reach.id), '{}') into v_reach from reach;
    flows := array(
        select distinct (f.special ->> 'workflow_id')::bigint from @schema.adjourn_finished_jobs f
        where f.id = any(v_reach) and f.special ? 'workflow_id' order by 1
    );
    ended := array(
        select r.id from unnest(v_reach) r(id)
        union
        select c.id from @schema.adjourn_dependencies d
        cross join lateral (select c.id from @schema.adjourn_finished_jobs c where c.id = d.child_id offset 0) c where d.parent_id = any(v_reach)
        union
        select c.id from @schema.adjourn_finished_jobs f
        cross join lateral (select c.id from @schema.adjourn_finished_jobs c where c.id = (f.special ->> 'next_id')::bigint offset 0) c
        where f.id = any(v_reach) and f.special ? 'next_id'
        order by 1
    );
    live := array(
        select j.id from @schema.adjourn_jobs j where j.workflow_id = any(flows) and (j.next_id in (select unnest(v_reach))) is true
        union
        select j.id from @schema.adjourn_dependencies d
        cross join lateral (select j.id from @schema.adjourn_jobs j where j.id = d.parent_id offset 0) j where d.child_id = any(v_reach) and d.linked
        union
        select j.id from @schema.adjourn_dependencies d
        cross join lateral (select j.id from @schema.adjourn_jobs j where j.id = d.child_id and j.hold = @parents offset 0) j where d.parent_id = any(v_reach)
        union
        select j.id from @schema.adjourn_finished_jobs f
        cross join lateral (select j.id from @schema.adjourn_jobs j where j.id = (f.special ->> 'next_id')::bigint and j.hold = @parents offset 0) j
        where f.id = any(v_reach) and f.special ? 'next_id'
        union
        select j.id from @schema.adjourn_workflows w join @schema.adjourn_jobs j on j.workflow_id = w.id
        where w.id = any(flows) and w.is_cancelled and j.worker_id is null
        order by 1
    );

    -- What each of them waits for: a job that may come back, one that has not ended or does not know yet that it is waited for, or one that
    -- has failed. Whatever else it was has succeeded, or is gone.
    with named as materialized (
        select d.parent_id, d.child_id, d.forgiven is not true as counts, not d.linked as waits from @schema.adjourn_dependencies d
        where d.child_id = any(v_reach) and not d.in_run
    ), found as materialized (
        select n.parent_id, n.child_id, n.counts,
               case when n.waits or exists (select from @schema.adjourn_jobs j where j.id = n.parent_id offset 0) then 'waits'
                    when (n.parent_id in (select unnest(v_reach))) is true then 'again'
                    when exists (select from @schema.adjourn_finished_jobs f where f.id = n.parent_id and f.status <> 'succeeded' offset 0) then 'failed'
               end as state
        from named n
        union all
        select j.id, j.next_id, true, 'waits' from @schema.adjourn_jobs j
        where j.workflow_id = any(flows) and (j.next_id in (select unnest(v_reach))) is true
        union all
        select f.id, (f.special ->> 'next_id')::bigint, true, 'again' from @schema.adjourn_finished_jobs f
        where f.id = any(v_reach) and ((f.special ->> 'next_id')::bigint in (select unnest(v_reach))) is true
          and not exists (select from @schema.adjourn_dependencies d where d.parent_id = f.id and d.child_id = (f.special ->> 'next_id')::bigint and not d.in_run)
        union all
        select f.id, (f.special ->> 'next_id')::bigint, true, 'failed'
        from @schema.adjourn_workflows w join @schema.adjourn_finished_jobs f on f.id between w.first_id and w.last_id
        where w.id = any(flows) and f.status <> 'succeeded' and (f.special ->> 'workflow_id')::bigint = w.id
          and ((f.special ->> 'next_id')::bigint in (select unnest(v_reach))) is true and (f.id in (select unnest(v_reach))) is not true
          and not exists (select from @schema.adjourn_dependencies d where d.parent_id = f.id and d.child_id = (f.special ->> 'next_id')::bigint and not d.in_run)
    ), edge as materialized (
        -- One that was not needed has not failed.
        select found.*, found.state in ('again', 'failed') and exists (
            select from @schema.adjourn_finished_jobs f where f.id = found.parent_id and f.special ->> 'cause' = 'needless' offset 0
        ) as is_unneeded from found
    ), base as (
        select u.id, sum(u.pending)::integer as pending, sum(u.failed)::integer as failed, sum(u.needless)::integer as needless, max(u.rule) as rule
        from (
            select f.id, 0 as pending, 0 as failed, 0 as needless, (f.special ->> 'run_if')::integer as rule from @schema.adjourn_finished_jobs f
            where f.id = any(v_reach)
            union all
            select e.child_id, (e.state = 'waits')::integer, (e.state = 'failed' and e.counts and not e.is_unneeded)::integer,
                   (e.state = 'failed' and e.counts and e.is_unneeded)::integer, null
            from edge e where e.state in ('waits', 'failed')
        ) u group by u.id
    )
    select (select array_agg(e.parent_id) from edge e where e.state = 'again'), (select array_agg(e.child_id) from edge e where e.state = 'again'),
           (select array_agg(e.counts) from edge e where e.state = 'again'), (select array_agg(e.is_unneeded) from edge e where e.state = 'again'),
           (select array_agg(e.parent_id) from edge e where e.state = 'failed' and e.counts),
           (select array_agg(e.child_id) from edge e where e.state = 'failed' and e.counts),
           array_agg(b.id), array_agg(b.pending), array_agg(b.failed), array_agg(b.needless), array_agg(b.rule)
    into v_parents, v_children, v_counted, v_unneeded, v_bad_parents, v_bad_children, v_ids, v_pending, v_failed, v_needless, v_rules from base b;

    loop
        select array_agg(n.id), array_agg(n.pending),
               array_agg(case when n.rule is not null then n.failed else n.needless * (not n.is_forced)::integer end),
               array_agg(n.id) filter (where not n.is_forced and (
                   n.rule is null and (n.failed > 0 or n.needless > 0 and n.pending = 0)
                   or n.rule = @any_failed and n.failed = 0 and n.pending = 0
               ))
        into again, pending, failed, v_more from (
            select u.id, sum(u.pending)::integer as pending, sum(u.failed)::integer as failed, sum(u.needless)::integer as needless, max(u.rule) as rule,
                   (u.id in (select unnest(p_forced))) is true as is_forced
            from (
                select k.id, k.pending, k.failed, k.needless, k.rule
                from unnest(v_ids, v_pending, v_failed, v_needless, v_rules) k(id, pending, failed, needless, rule)
                union all
                select e.child_id, e.stays::integer, (not e.stays and e.counts and not e.is_unneeded)::integer,
                       (not e.stays and e.counts and e.is_unneeded)::integer, null
                from (
                    select a.child_id, a.counts, a.is_unneeded, (a.parent_id in (select unnest(v_out))) is not true as stays
                    from unnest(v_parents, v_children, v_counted, v_unneeded) a(parent_id, child_id, counts, is_unneeded)
                ) e
            ) u where (u.id in (select unnest(v_out))) is not true group by u.id order by u.id
        ) n;
        exit when v_more is null;
        v_out := v_out || v_more;
    end loop;

    with told as (
        select d.child_id, d.in_run, f.status <> 'succeeded' and not d.in_run and d.forgiven is not true as failed,
               f.special ->> 'cause' is not distinct from 'needless' as is_unneeded
        from @schema.adjourn_finished_jobs f join @schema.adjourn_dependencies d on d.parent_id = f.id
        where f.id = any(again) and d.linked
        union all
        select (f.special ->> 'next_id')::bigint, false, f.status <> 'succeeded', f.special ->> 'cause' is not distinct from 'needless'
        from @schema.adjourn_finished_jobs f
        where f.id = any(again) and f.special ? 'next_id'
          and not exists (select from @schema.adjourn_dependencies d where d.parent_id = f.id and d.child_id = (f.special ->> 'next_id')::bigint and not d.in_run)
    ), sums as (
        select t.child_id, count(*)::integer as ended, (count(*) filter (where t.failed and (not t.is_unneeded or j.run_if is null)))::integer as failed
        from told t join @schema.adjourn_jobs j on j.id between t.child_id and t.child_id
        where (t.child_id in (select unnest(live))) is true and (coalesce(j.run_if, 0) >= @begun) = t.in_run group by t.child_id
    )
    select array_agg(s.child_id), array_agg(s.ended), array_agg(s.failed) into children, ended_less, failed_less from sums s;

    select array_agg(b.parent_id), array_agg(b.child_id) into pardoned, pardoned_by from (
        select * from unnest(v_bad_parents, v_bad_children)
        union all
        select e.parent_id, e.child_id from unnest(v_parents, v_children) e(parent_id, child_id) where (e.parent_id in (select unnest(v_out))) is true
    ) b(parent_id, child_id)
    where (b.child_id in (select unnest(p_forced))) is true
      and (b.child_id in (select k.id from unnest(v_ids, v_rules) k(id, rule) where k.rule is null)) is true;
    return next;
end $$;
