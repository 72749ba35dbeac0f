-- Tell those who wait for these jobs that they have ended. A payload takes less than 8000 bytes.
--   p_jobs, p_ids: as adjourn_end_v1 takes them.
create function @schema.adjourn_tell_ends_v1(p_jobs @schema.adjourn_jobs[], p_ids bigint[]) returns void
language plpgsql as $$
begin
    perform pg_notify(@ends_channel, string_agg(told.id::text, ' ')) from (
        select ended.id, row_number() over () / 350 as page
        from unnest(p_ids) ended(id) join unnest(p_jobs) j on j.id = ended.id where j.waited
    ) told group by told.page;
end $$;
