-- Somebody has deleted workers, or truncated their table: those that still have jobs come back, marked as dead, until they are rescued. Else
-- nobody would know that they are nobody's. It is one look for all of these workers, because it reads all ready jobs.
create function @schema.adjourn_keep_workers_v1() returns trigger
language plpgsql set enable_seqscan = off set jit = off as $$
declare
    v_gone bigint[];
    v_followers bigint[];
    v_busy bigint[];
begin
    if tg_op = 'DELETE' then
        v_gone := array(select gone.id from gone where gone.is_done is not true);
    else
        v_gone := array(select distinct j.worker_id from @schema.adjourn_jobs j where j.worker_id is not null);
    end if;
    if v_gone = '{}' then
        return null;
    end if;
    -- A claim of one of them shares a lock on its row until it is committed, so this sees what was claimed.
    v_followers := @schema.adjourn_followers_v1('{}', v_gone);
    v_busy := array(
        select distinct j.worker_id from @schema.adjourn_jobs j where j.hold = @ready and j.worker_id = any(v_gone)
    ) || array(
        select f.worker_id from @schema.adjourn_jobs f where f.id = any(v_followers)
    );
    if v_busy = '{}' then
        return null;
    elsif tg_op = 'DELETE' then
        insert into @schema.adjourn_workers (
            id, name, queues, dead, overdue, running, running_claims, details, started_at, last_heartbeat_at, expires_at
        ) overriding system value
        select id, name, queues, true, overdue, running, running_claims, details, started_at, last_heartbeat_at, expires_at from gone where id = any(v_busy);
    else
        insert into @schema.adjourn_workers (id, name, dead, expires_at) overriding system value
        select distinct busy.id, 'worker ' || busy.id, true, now() from unnest(v_busy) busy(id);
        -- Its ids may have begun anew.
        perform setval(
            pg_get_serial_sequence(tg_relid::regclass::text, 'id'),
            greatest(nextval(pg_get_serial_sequence(tg_relid::regclass::text, 'id')), (select max(w.id) from @schema.adjourn_workers w))
        );
    end if;
    return null;
end $$;
