-- Walk through jobs in the order of their ids, the live ones first, until p_limit of them match, or p_budget have been looked at, or
-- p_seconds have passed.
--   p_filter: {ids, statuses, queue, task, lock, queueing_lock, worker_id, waits_for, priority, min_attempts, error, args,
--     finished_after, finished_before, up_to_id}, each of which may be missing.
--   p_is_live, p_after_id: where an earlier walk has stopped; null: at the beginning.
-- Returns the ids of those that match, how many jobs were looked at, and the last one of these: whether it lives, its id and the time
-- when it ended or was stored. Without a last one, or if the walk has come to its end, is_complete is true.
--   If the statuses are others than 'succeeded', or there are ids or a time, jobs that these exclude are not looked at: indexes tell them.
-- Nor are jobs that have ended, if it is asked what they wait for.
create function @schema.adjourn_search_jobs_v1(
    p_filter jsonb, p_newest boolean, p_is_live boolean, p_after_id bigint, p_budget bigint, p_seconds double precision, p_limit integer
) returns table (ids bigint[], looked bigint, is_live boolean, reached_id bigint, reached_at timestamptz, is_complete boolean)
language plpgsql stable set enable_seqscan = off set enable_sort = off set enable_bitmapscan = off set jit = off as $$
#variable_conflict use_variable
declare
    -- With a time, entries of the index are skipped without being looked at; so many ids at a time, to see how time goes by.
    c_span constant bigint := 2000000;
    v_end timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
    v_statuses text[] := array(select jsonb_array_elements_text(p_filter -> 'statuses'));
    v_has_times boolean := p_filter ?| array['finished_after', 'finished_before'];
    v_select text;
    v_bounds text;
    v_live boolean;
    v_from bigint;
    v_to bigint;
    v_job record;
begin
    ids := '{}';
    looked := 0;
    is_complete := false;
    v_bounds := concat_ws(' and ',
        'true',
        case when p_filter ? 'ids' then 'j.id = any(array(select jsonb_array_elements_text($1 -> ''ids'')::bigint))' end,
        case when p_filter ? 'up_to_id' then 'j.id <= ($1 ->> ''up_to_id'')::bigint' end,
        case when p_filter ? 'finished_after' then 'j.finished_at >= ($1 ->> ''finished_after'')::timestamptz' end,
        case when p_filter ? 'finished_before' then 'j.finished_at < ($1 ->> ''finished_before'')::timestamptz' end
    );
    v_select := 'select j.id, coalesce(j.finished_at, j.enqueued_at) as at, ' || concat_ws(' and ',
        'true',
        case when p_filter ? 'statuses' then 'j.status = any($4)' end,
        case when p_filter ? 'queue' then 'j.queue = $1 ->> ''queue''' end,
        case when p_filter ? 'task' then 'j.task_name = $1 ->> ''task''' end,
        case when p_filter ? 'lock' then 'j.lock = $1 ->> ''lock''' end,
        case when p_filter ? 'queueing_lock' then 'j.queueing_lock = $1 ->> ''queueing_lock''' end,
        case when p_filter ? 'worker_id' then 'j.worker_id = ($1 ->> ''worker_id'')::bigint' end,
        case when p_filter ? 'waits_for' then 'j.waits_for = $1 ->> ''waits_for''' end,
        case when p_filter ? 'priority' then 'j.priority = ($1 ->> ''priority'')::integer' end,
        case when p_filter ? 'min_attempts' then 'j.attempts >= ($1 ->> ''min_attempts'')::integer' end,
        case when p_filter ? 'error' then
            'strpos(concat_ws('': '', j.errors -> -1 ->> ''exception'', j.errors -> -1 ->> ''message''), $1 ->> ''error'') > 0'
        end,
        case when p_filter ? 'args' then 'j.args @> ($1 -> ''args'')' end
    ) || ' as hit from ' || @schema_name || '.adjourn_all_jobs j where ';
    foreach v_live in array array[true, false] loop
        continue when v_live and (p_is_live is false or v_has_times);
        continue when not v_live and p_filter ? 'waits_for';
        continue when p_filter ? 'statuses'
            and not v_statuses && case when v_live then '{todo, doing}'::text[] else '{succeeded, failed, cancelled, aborted}' end;
        v_from := case when v_live is not distinct from p_is_live then p_after_id end;
        loop
            -- The index of those that have not succeeded is used only if the statement says so in these words.
            execute 'select j.id from ' || @schema_name || '.adjourn_all_jobs j where j.is_live = ' || v_live::text
                || case when v_from is null then '' when p_newest then ' and j.id < $1' else ' and j.id > $1' end
                || ' order by j.id ' || case when p_newest then 'desc' else '' end || ' limit 1' into v_from using v_from;
            exit when v_from is null;
            v_to := case when not v_has_times then null when p_newest then v_from - c_span else v_from + c_span end;
            for v_job in execute v_select || v_bounds || ' and j.is_live = ' || v_live::text
                || case when not v_live and p_filter ? 'statuses' and 'succeeded' <> all(v_statuses) then ' and j.status <> ''succeeded''' else '' end
                || case when p_newest then ' and j.id <= $2' else ' and j.id >= $2' end
                || case when v_to is null then '' when p_newest then ' and j.id > $3' else ' and j.id < $3' end
                || ' order by j.id ' || case when p_newest then 'desc' else '' end
                using p_filter, v_from, v_to, v_statuses
            loop
                looked := looked + 1;
                is_live := v_live;
                reached_id := v_job.id;
                reached_at := v_job.at;
                if v_job.hit then
                    ids := ids || v_job.id;
                end if;
                if cardinality(ids) >= p_limit or looked >= p_budget or (mod(looked, 1000) = 0 and clock_timestamp() > v_end) then
                    return next;
                    return;
                end if;
            end loop;
            exit when v_to is null;
            v_from := case when p_newest then v_to + 1 else v_to - 1 end;
            if clock_timestamp() > v_end then
                is_live := false;
                reached_id := v_from;
                return next;
                return;
            end if;
        end loop;
    end loop;
    is_complete := true;
    return next;
end $$;
