-- Add an error, which may be null, to a job's errors, keeping only the first and the last ones.
create function @schema.adjourn_with_error_v1(p_errors jsonb, p_error jsonb) returns jsonb
language sql stable as $$
    select case
        when p_error is null then p_errors
        when p_errors is null then jsonb_build_array(p_error)
        when jsonb_array_length(p_errors) < @most_errors then p_errors || p_error
        else (p_errors - 1) || p_error
    end
$$;
