-- Special jobs that nobody runs any more are to be run again, and are in the table as they are to be. A job keeps its places only if it
-- is to run at once, and under the same limits, none of which is a rate: else it waits for them anew. One that waits for a worker that knows its
-- task keeps none from others meanwhile; that worker sends it to its limits (adjourn_admit_v1).
--   p_jobs: jobs as they were before; p_ids: those that this is about.
create function @schema.adjourn_move_v1(p_jobs @schema.adjourn_jobs[], p_ids bigint[]) returns void
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
    v_anew bigint[];
begin
    v_anew := array(
        select j.id from @schema.adjourn_jobs j join unnest(p_jobs) o on j.id between o.id and o.id
        where (o.id in (select unnest(p_ids))) is true and j.worker_id is null and j.hold <> @gate and (
            j.hold not in (@ready, @apart) or j.queue <> o.queue or j.lock is distinct from o.lock
            or exists (
                select from @schema.adjourn_limits l
                where l.rates is not null and (
                    l.id = j.limit_id or l.scope = 'task' and l.name = j.task_name or l.scope = 'queue' and l.name = j.queue
                )
            )
        )
    );
    update @schema.adjourn_jobs j set
        key_slot = null, task_slot = null, queue_slot = null, turn = null, gate_id = null, gate_key = null
    where j.id = any(v_anew);
    perform @schema.adjourn_gate_v1(array(
        select j.id from @schema.adjourn_jobs j where j.id = any(p_ids) and j.worker_id is null and j.hold in (@ready, @apart)
    ));
end $$;
