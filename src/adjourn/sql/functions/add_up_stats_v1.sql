-- Add up statistics: those of past minutes, then minutes older than two hours to ten minutes, then those older than two days to hours,
-- and those older than two weeks to days; delete what is older than 90 days. What is read is a sum, so it does not matter into how many
-- rows a period's numbers are split.
-- Takes p_limit rows of each kind, those that nobody else adds up, and returns how many it took of the kind of which it took most.
create function @schema.adjourn_add_up_stats_v1(p_limit integer) returns bigint
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    c_origin constant timestamptz := '2000-01-01 00:00:00+00';
    v_level smallint;
    v_period interval;
    v_before timestamptz;
    v_taken bigint;
    v_most bigint := 0;
begin
    for v_level, v_period, v_before in values
        -- A statement may have begun in the minute before, and be about to store something.
        (0::smallint, interval '1 minute', now() - interval '1 minute'), (1, '10 minutes', now() - interval '2 hours'),
        (2, '1 hour', now() - interval '2 days'), (3, '1 day', now() - interval '14 days')
    loop
        continue when not exists (
            select from @schema.adjourn_stats o where o.level = v_level and o.at < date_bin(v_period, v_before, c_origin)
        );
        with gone as (
            delete from @schema.adjourn_stats old where old.ctid = any(array(
                select o.ctid from @schema.adjourn_stats o
                where o.level = v_level and o.at < date_bin(v_period, v_before, c_origin)
                order by o.level, o.at limit p_limit for update skip locked
            )) returning old.*
        ), added as (
            insert into @schema.adjourn_stats (
                at, level, queue, task_name, outcome, jobs, run_seconds, wait_seconds, run_counts, wait_counts
            )
            select date_bin(v_period, s.at, c_origin), v_level + 1, s.queue, s.task_name, s.outcome, sum(s.jobs), sum(s.run_seconds),
                   sum(s.wait_seconds),
                   array[sum(s.run_counts[1]), sum(s.run_counts[2]), sum(s.run_counts[3]), sum(s.run_counts[4]), sum(s.run_counts[5]), sum(s.run_counts[6]),
                         sum(s.run_counts[7]), sum(s.run_counts[8]), sum(s.run_counts[9]), sum(s.run_counts[10]), sum(s.run_counts[11]), sum(s.run_counts[12]),
                         sum(s.run_counts[13]), sum(s.run_counts[14]), sum(s.run_counts[15]), sum(s.run_counts[16]), sum(s.run_counts[17])]::bigint[],
                   array[sum(s.wait_counts[1]), sum(s.wait_counts[2]), sum(s.wait_counts[3]), sum(s.wait_counts[4]), sum(s.wait_counts[5]), sum(s.wait_counts[6]),
                         sum(s.wait_counts[7]), sum(s.wait_counts[8]), sum(s.wait_counts[9]), sum(s.wait_counts[10]), sum(s.wait_counts[11]), sum(s.wait_counts[12]),
                         sum(s.wait_counts[13]), sum(s.wait_counts[14]), sum(s.wait_counts[15]), sum(s.wait_counts[16]), sum(s.wait_counts[17])]::bigint[]
            from gone s group by 1, s.queue, s.task_name, s.outcome
        )
        select count(*) into v_taken from gone;
        v_most := greatest(v_most, v_taken);
    end loop;
    delete from @schema.adjourn_stats old where old.ctid = any(array(
        select o.ctid from @schema.adjourn_stats o where o.level = 4 and o.at < now() - interval '90 days'
        order by o.level, o.at limit p_limit for update skip locked
    ));
    get diagnostics v_taken = row_count;
    return greatest(v_most, v_taken);
end $$;
