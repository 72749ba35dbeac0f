insert into @schema.adjourn_migrations (version, name) values (%(version)s, %(name)s)
