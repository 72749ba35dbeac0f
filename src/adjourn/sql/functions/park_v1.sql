-- Have these jobs, which the caller has locked and nobody runs, wait until what is paused is resumed. They give up their places, so that
-- others of their key go on elsewhere.
create function @schema.adjourn_park_v1(p_ids bigint[]) returns void
language plpgsql as $$
begin
    perform @schema.adjourn_give_up_v1(p_ids);
    update @schema.adjourn_jobs j set special = true, hold = @paused, gate_id = null, gate_key = null where j.id = any(p_ids);
end $$;
