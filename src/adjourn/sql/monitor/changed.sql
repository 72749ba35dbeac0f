-- The ids of the jobs that a change of many jobs has changed, a row for each of its batches; or of those of a worker that died.
select a.ids from @schema.adjourn_audit a where a.target = %(target)s::text and a.ids is not null order by a.id limit 1000
