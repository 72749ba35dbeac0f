-- Those of these queues (null: of all that have jobs to claim) that are not paused. Null if that is all there are.
create function @schema.adjourn_open_queues_v1(p_queues text[]) returns text[]
language plpgsql as $$
declare
    v_paused text[] := array(select p.name from @schema.adjourn_pauses p where p.scope = 'queue');
begin
    if v_paused = '{}' then
        return p_queues;
    elsif p_queues is not null then
        return array(select queue from unnest(p_queues) queue where queue <> all(v_paused));
    end if;
    return array(
        with recursive used(queue) as (
            (select j.queue from @schema.adjourn_jobs j where j.hold = @ready order by j.queue limit 1)
            union all
            select (
                select j.queue from @schema.adjourn_jobs j where j.hold = @ready and j.queue > used.queue order by j.queue limit 1
            )
            from used where used.queue is not null
        )
        select used.queue from used where used.queue <> all(v_paused)
        union
        select queue from unnest(@schema.adjourn_apart_queues_v1(null)) queue where queue <> all(v_paused)
        union
        select queue from unnest(@schema.adjourn_unknown_queues_v1()) queue where queue <> all(v_paused)
    );
end $$;
