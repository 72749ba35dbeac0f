-- A worker claims these jobs, some of which are special. Do what their start asks for. Returns what the worker has to know of them, as a
-- JSON object by their ids, or null.
create function @schema.adjourn_start_v1(p_ids bigint[]) returns json
language plpgsql as $$
begin
    return null;
end $$;
