-- Add up the ends of jobs that others wait for, and that belong to workflows: release who waits for no one else, and cancel who is not
-- to run. The caller has the placing key, and waits for nobody: what another transaction has locked is noted again.
-- Returns how many jobs were released or cancelled.
create function @schema.adjourn_arrive_v1() returns integer
language plpgsql as $$
declare
    v_targets bigint[];
    v_ended integer[];
    v_failed integer[];
    v_gone integer[];
    v_needless integer[];
    v_in_run integer[];
    v_reasons text[];
    v_mine bigint[];
    v_flows bigint[];
    v_unlinked bigint[];
    v_release bigint[];
    v_cancel bigint[];
    v_drop bigint[];
    v_drop_reasons text[];
    v_more bigint[];
    v_told bigint[];
    v_cancelled bigint[];
    v_taken integer;
    v_moved integer := 0;
begin
    if exists (select from @schema.adjourn_arrivals a where a.is_parent) then
        perform @schema.adjourn_tell_large_v1(false);
    end if;
    for round in 1 .. 20 loop
        with taken as (
            delete from @schema.adjourn_arrivals a
            where a.ctid = any(array(select b.ctid from @schema.adjourn_arrivals b where not b.is_parent limit 4000 for update skip locked))
            returning a.job_id, a.ended, a.failed, a.cancelled, a.needless, a.in_run, a.reason
        ), sums as (
            select taken.job_id, sum(taken.ended) as ended, sum(taken.failed) as failed, sum(taken.cancelled) as cancelled,
                   sum(taken.needless) as needless, sum(taken.in_run) as in_run, min(taken.reason collate "C") as reason, count(*) as rows
            from taken group by taken.job_id
        )
        select array_agg(sums.job_id), array_agg(sums.ended), array_agg(sums.failed), array_agg(sums.cancelled), array_agg(sums.needless), array_agg(sums.in_run),
               array_agg(sums.reason), sum(sums.rows)
        into v_targets, v_ended, v_failed, v_gone, v_needless, v_in_run, v_reasons, v_taken from sums;
        exit when v_targets is null;

        v_mine := array(select j.id from @schema.adjourn_jobs j where j.id = any(v_targets) order by j.id for update skip locked);
        v_flows := array(select w.id from @schema.adjourn_workflows w where w.id = any(v_targets) order by w.id for update skip locked);
        insert into @schema.adjourn_arrivals (job_id, ended, failed, cancelled, needless, in_run, reason)
        select s.id, s.ended, s.failed, s.cancelled, s.needless, s.in_run, s.reason
        from unnest(v_targets, v_ended, v_failed, v_gone, v_needless, v_in_run, v_reasons) s(id, ended, failed, cancelled, needless, in_run, reason)
        where s.id <> all(v_mine) and s.id <> all(v_flows)
          and (exists (select from @schema.adjourn_jobs j where j.id = s.id offset 0) or exists (select from @schema.adjourn_workflows w where w.id = s.id offset 0));

        v_unlinked := array(select j.id from @schema.adjourn_jobs j where j.id = any(v_mine) and j.unlinked);
        if v_unlinked <> '{}' then
            perform @schema.adjourn_link_v1(v_unlinked);
        end if;

        with counted as (
            update @schema.adjourn_jobs j set
                pending = j.pending - case when j.run_if >= @begun then s.in_run else s.ended end, 
                failed_parents = j.failed_parents + s.failed - s.needless * (j.run_if is not null)::integer
            from unnest(v_targets, v_ended, v_failed, v_needless, v_in_run, v_reasons) s(id, ended, failed, needless, in_run, reason)
            where (s.id in (select unnest(v_mine))) is true and j.id between s.id and s.id and j.pending is not null
            returning j.id, j.hold, j.pending, j.failed_parents, j.run_if, j.unlinked, s.failed > s.needless as has_failed, s.reason
        ), judged as (
            select c.id, c.reason, c.run_if, case
                when c.run_if is null and c.has_failed then 'cancel'
                when c.pending > 0 or c.unlinked then null
                -- One that was not needed is no failure; but without it, others are not needed either.
                when c.run_if is null and c.failed_parents > 0 or c.run_if = @any_failed and c.failed_parents = 0 then 'drop'
                else 'release' end as verdict
            from counted c where c.hold = @parents
        )
        select coalesce(array_agg(id) filter (where verdict = 'release'), '{}'), coalesce(array_agg(id) filter (where verdict = 'cancel'), '{}'),
               coalesce(array_agg(id) filter (where verdict = 'drop'), '{}'), array_agg(reason) filter (where verdict = 'cancel'),
               array_agg(case
                   when run_if is null then coalesce(reason, 'a job that it waited for was not needed')
                   else 'none of the jobs that it waited for has failed' end
               ) filter (where verdict = 'drop')
        into v_release, v_cancel, v_drop, v_reasons, v_drop_reasons from judged;

        if v_release <> '{}' then
            update @schema.adjourn_jobs j set
                ready_at = now(), hold = case when j.scheduled_at > now() then @scheduled when j.lock is not null then @unplaced else @ready end
            where j.id = any(v_release);
            perform @schema.adjourn_gate_v1(array(select j.id from @schema.adjourn_jobs j where j.id = any(v_release) and j.hold + 0 = @ready));
            perform @schema.adjourn_wake_for_v1(
                array(select j.queue from @schema.adjourn_jobs j where j.id = any(v_release) and j.hold + 0 = @ready), null
            );
        end if;

        with counted as (
            update @schema.adjourn_workflows w set
                remaining = w.remaining - s.ended, failed = w.failed + s.failed, cancelled = w.cancelled + s.cancelled,
                finished_at = case when w.remaining - s.ended <= 0 and not w.is_open then coalesce(w.finished_at, now()) end
            from unnest(v_targets, v_ended, v_failed, v_gone) s(id, ended, failed, cancelled)
            where (s.id in (select unnest(v_flows))) is true and w.id between s.id and s.id
            returning w.id, w.remaining, w.finished_at, w.waited, w.is_cancelled
        )
        select coalesce(array_agg(counted.id) filter (where counted.finished_at is not null and counted.waited), '{}'),
               coalesce(array_agg(counted.id) filter (where counted.remaining > 0 and counted.is_cancelled), '{}')
        into v_told, v_cancelled from counted;
        perform pg_notify(@ends_channel, told.id::text) from unnest(v_told) told(id);
        update @schema.adjourn_workflows w set waited = null where w.id = any(v_told);
        if v_cancel <> '{}' then
            perform @schema.adjourn_cancel_jobs_v1(v_cancel, false, 'jobs', v_reasons);
        end if;
        if v_drop <> '{}' then
            perform @schema.adjourn_cancel_jobs_v1(v_drop, false, 'needless', v_drop_reasons);
            v_cancel := v_cancel || v_drop;
        end if;
        if v_cancelled <> '{}' then
            -- Jobs that were locked when their workflow was cancelled, or that were added since.
            v_more := array(
                select j.id from @schema.adjourn_jobs j where j.workflow_id = any(v_cancelled) and j.worker_id is null order by j.id limit 1000
                for update skip locked
            );
            perform @schema.adjourn_cancel_jobs_v1(v_more, false, 'workflow', null);
            v_cancel := v_cancel || v_more;
            insert into @schema.adjourn_arrivals (job_id, ended, failed)
            select w.id, 0, 0 from unnest(v_cancelled) w(id)
            where exists (select from @schema.adjourn_jobs j where j.workflow_id = w.id and j.worker_id is null offset 0);
        end if;
        v_moved := v_moved + cardinality(v_release) + cardinality(v_cancel);
        -- The next round adds up what this one has noted. What is locked is left for the next call.
        exit when v_cancel = '{}' and v_unlinked = '{}' and v_taken < 4000;
    end loop;
    return v_moved;
end $$;
