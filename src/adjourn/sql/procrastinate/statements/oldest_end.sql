select to_json(greatest(min(v.at), %(since)s::timestamptz)) #>> '{}' as at from @theirs.procrastinate_events v
where v.type in ('succeeded', 'failed', 'cancelled', 'aborted')
