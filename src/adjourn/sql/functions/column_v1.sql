-- Return a column of a batch as an array: one value for each job. It is a JSON array of as many values, or one value that all
-- jobs have, or null.
create function @schema.adjourn_column_v1(p_column json, p_count integer) returns text[]
language plpgsql immutable as $$
begin
    if json_typeof(p_column) = 'array' then
        return array(select json_array_elements_text(p_column));
    end if;
    return array_fill(p_column #>> '{}', array[p_count]);
end $$;
