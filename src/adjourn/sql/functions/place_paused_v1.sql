-- A queue or task was paused or resumed, or its pause may end: p_what is 'queue:' or 'task:' and its name; or 'schedule:' and an array, in JSON, of a
-- task's name and a periodic_id, for which there is no more to do. Of one that is paused, jobs are set aside (adjourn_set_aside_v1); of one that was
-- resumed, jobs that were set aside go on, unless something else that they belong to is paused, and of a task those whose queue a worker serves.
-- The caller holds the placing key alone. Returns how many jobs go on; if some are left, there is a note again.
create function @schema.adjourn_place_paused_v1(p_what text) returns integer
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_scope text := split_part(p_what, ':', 1);
    v_name text := substr(p_what, length(split_part(p_what, ':', 1)) + 2);
    v_queues text[];
    v_ids bigint[];
    v_ended integer;
begin
    -- Jobs that are ready and can be claimed again are not counted, but who asks looks for jobs if there are any.
    v_ended := @schema.adjourn_end_pause_v1(p_what)::integer;
    if v_scope = 'schedule' then
        return 0;
    end if;
    if exists (select from @schema.adjourn_pauses p where p.scope = v_scope and p.name = v_name) then
        if @schema.adjourn_set_aside_v1(v_scope, v_name) then
            insert into @schema.adjourn_open_limits (limit_id, limit_key) values (0, p_what);
        end if;
        return 0;
    elsif v_scope = 'task' then
        v_queues := array(
            select kind.queue from @schema.adjourn_paused_kinds_v1() kind where kind.task_name = v_name
              and not exists (select from @schema.adjourn_pauses p where p.scope = 'queue' and p.name = kind.queue)
        );
        v_queues := array(select queue from unnest(v_queues) queue where queue <> all(@schema.adjourn_unserved_v1(v_queues)));
        v_ids := array(
            select j.id from unnest(v_queues) q(queue) cross join lateral (
                select j.id from @schema.adjourn_jobs j where j.hold = @paused and j.task_name = v_name and j.queue = q.queue
                order by j.id limit @most_placed for update skip locked
            ) j limit @most_placed
        );
    else
        v_ids := array(
            select j.id from @schema.adjourn_paused_kinds_v1() kind cross join lateral (
                select j.id from @schema.adjourn_jobs j where j.hold = @paused and j.task_name = kind.task_name and j.queue = v_name
                order by j.id limit @most_placed for update skip locked
            ) j where kind.queue = v_name
              and not exists (select from @schema.adjourn_pauses p where p.scope = 'task' and p.name = kind.task_name) limit @most_placed
        );
    end if;
    update @schema.adjourn_jobs j set
        ready_at = now(), hold = case when j.unknown_since is not null then @unknown when j.doubts >= @apart_from then @apart else @ready end
    where j.id = any(v_ids);
    perform @schema.adjourn_gate_v1(v_ids);
    if cardinality(v_ids) >= @most_placed then
        insert into @schema.adjourn_open_limits (limit_id, limit_key) values (0, p_what);
    end if;
    return cardinality(v_ids) + v_ended;
end $$;
