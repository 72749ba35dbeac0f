select name from @schema.adjourn_pause_v1(
    %(scope)s::text, %(names)s::text[], %(pause)s::boolean, %(seconds)s::double precision, %(until)s::timestamptz, %(by)s::text, %(reason)s::text
) name
