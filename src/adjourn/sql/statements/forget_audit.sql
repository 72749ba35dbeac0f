-- Delete those that are so many days old of the oldest notes of what people did. It reads no more than these, and one session at a time does it.
with gone as (
    delete from @schema.adjourn_audit a
    where a.id in (select first.id from @schema.adjourn_audit first order by first.id limit %(limit)s::integer)
      and a.at < now() - make_interval(days => %(days)s::integer) and (select pg_try_advisory_xact_lock(@forgetting_key))
    returning a.id
)
select count(*) as forgotten from gone
