-- What a session of this role begins with: this one has set some of them for itself.
select s.name, s.reset_val as setting, s.unit from pg_settings s where s.name = any(%(names)s::text[]) order by s.name
