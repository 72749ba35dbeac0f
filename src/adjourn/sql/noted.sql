-- A statement, and a note of who has executed it, if it has changed something: both, or neither.
with done as materialized (
@statement
), note as (
    insert into @schema.adjourn_audit (actor, how, action, target, filter, jobs, outcome, address, request_id)
    select n.actor, n.how, n.action, n.target, n.filter, coalesce(n.jobs, so.changed), n.outcome, n.address, n.request_id
    from (select @changed as changed from done) so cross join jsonb_to_record(%(note)s::text::jsonb) n(
        actor text, how text, action text, target text, filter jsonb, jobs bigint, outcome text, address text, request_id text
    )
    where so.changed >= @least
)
select * from done
