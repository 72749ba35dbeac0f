-- Nothing without events: what has ended then counts as having ended when it was scheduled, or now.
select to_json(case when min(v.at) is not null then greatest(min(v.at), %(since)s::timestamptz) end) #>> '{}' as at from @theirs.procrastinate_events v
where v.type in ('succeeded', 'failed', 'cancelled', 'aborted')
