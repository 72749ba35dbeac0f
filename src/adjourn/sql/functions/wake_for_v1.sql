-- Notify as many hungry workers as there is work for, and one more, in case that one does not answer: for each of these queues,
-- which has a job as often as it is named. The payload is their ids; a worker that has no room after all passes it on
-- (adjourn_pass_on_v1). Chosen at random, so that one that does not answer is not chosen again and again.
--   p_except: this worker looks for jobs anyway.
create function @schema.adjourn_wake_for_v1(p_queues text[], p_except bigint) returns void
language plpgsql as $$
declare
    v_ids text;
begin
    if not exists (
        select from @schema.adjourn_workers where hungry and not dead and expires_at > now() and id is distinct from p_except
    ) then
        return;
    end if;
    if cardinality(p_queues) > @most_woken then
        perform pg_notify(@channel, '');
        return;
    end if;
    select string_agg(distinct chosen.id::text, ' ') into v_ids
    from (select queue, count(*) as jobs from unnest(p_queues) queue group by queue) waiting cross join lateral (
        select w.id from @schema.adjourn_workers w
        where w.hungry and not w.dead and w.expires_at > now() and w.id is distinct from p_except
          and (w.queues is null or waiting.queue = any(w.queues))
        order by random() limit waiting.jobs + 1
    ) chosen;
    if v_ids is not null then
        perform pg_notify(@channel, v_ids);
    end if;
end $$;
