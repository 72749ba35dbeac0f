-- Claim these jobs, which the caller has locked, as adjourn_exchange_v1 does, and with each head of a lock some of those behind it:
-- its followers, which their worker starts one after the other. They keep their `hold`, so the claim is a HOT update.
-- In the order of the lock, followers are the next ones. A run of them ends before the first that another transaction has locked,
-- that is special, that its worker does not serve, that waits for a worker that knows its task, or that somebody has died with. It is empty if
-- workers have died with the head, or if a better job has come since that one was chosen.
--   p_first: the jobs that can begin at once, null for all. A follower cannot.
--   p_follow: how many followers one head can have.
create function @schema.adjourn_claim_runs_v1(
    p_worker bigint, p_picked bigint[], p_first bigint[], p_follow integer, p_queues text[]
) returns table (
    id bigint, queue text, task_name text, priority integer, lock text, queueing_lock text, args text, scheduled_at text,
    attempts integer, claim integer, abort_requested boolean, enqueued_at text, started_at text, headers text, ready_at text
)
language plpgsql as $$
#variable_conflict use_column
declare
    v_heads bigint[] := array(
        select j.id from @schema.adjourn_jobs j where j.id = any(p_picked) and j.lock is not null and j.hold + 0 = @ready and j.doubts = 0
    );
    v_most integer := least(p_follow, greatest(1, @most_followers / greatest(cardinality(v_heads), 1)));
    v_of bigint[];
    v_ids bigint[];
    v_marks text[];
    v_locked bigint[];
    v_runs text[];
begin
    select array_agg(next.head), array_agg(next.id), array_agg(next.mark) into v_of, v_ids, v_marks from (
        select head.id as head, b.id, b.mark, bool_and(
            b.fits and (b.priority < head.priority or b.priority = head.priority and b.id > head.id)
        ) over (partition by head.id order by b.priority desc, b.id) as fits
        from @schema.adjourn_jobs head cross join lateral (
            select b.id, b.priority, concat_ws(' ', b.priority, b.hold, b.queue, b.lock) as mark,
                   b.worker_id is null and b.doubts = 0 and b.unknown_since is null and b.special is not true
                   and (p_queues is null or b.queue = any(p_queues)) as fits
            from @schema.adjourn_jobs b where b.hold in (@behind, @unplaced) and b.lock = head.lock
            order by b.priority desc, b.id limit v_most
        ) b
        where head.id = any(v_heads)
    ) next where next.fits;
    if v_ids is not null then
        -- With `hold` as a condition the planner might read whole locks. What was changed meanwhile differs in its mark.
        v_locked := array(
            select j.id from @schema.adjourn_jobs j where j.id = any(v_ids) and j.worker_id is null order by j.id for update skip locked
        );
        select array_agg(run.head), array_agg(run.ids::text), string_to_array(string_agg(array_to_string(run.ids, ','), ','), ',')::bigint[]
        into v_heads, v_runs, v_ids from (
            select tried.head, array_agg(tried.id order by tried.number) as ids from (
                select c.head, c.id, c.number, bool_and(j.id is not null) over (partition by c.head order by c.number) as fits
                from unnest(v_of, v_ids, v_marks) with ordinality c(head, id, mark, number)
                left join @schema.adjourn_jobs j
                  on j.id = c.id and j.id = any(v_locked) and concat_ws(' ', j.priority, j.hold, j.queue, j.lock) = c.mark
            ) tried where tried.fits group by tried.head
        ) run;
    end if;

    return query
    update @schema.adjourn_jobs j
    set worker_id = p_worker, claim = j.claim + 1, started_at = now(), waiting_queueing_lock = null,
        claimed_ahead = nullif(j.hold in (@behind, @unplaced) or j.id <> all(p_first), false),
        hold = case when j.hold in (@behind, @unplaced) then j.hold else @ready end,
        followers = v_runs[array_position(v_heads, j.id)]::bigint[]
    where j.id = any(p_picked || v_ids)
    returning j.id, j.queue, j.task_name, j.priority, j.lock, j.queueing_lock, j.args::text, j.scheduled_at::text,
              j.attempts, j.claim, j.abort_requested, j.enqueued_at::text, j.started_at::text,
              j.headers::text,
              -- A follower is not ready before the one before it has ended.
              case when j.hold in (@behind, @unplaced) then j.started_at else j.ready_at end::text;
end $$;
