-- The owners of the tables that the migration changes, whose rights this role does not have.
select distinct pg_get_userbyid(c.relowner)::text as owner, current_user::text as role
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where (n.nspname = %(name)s and c.relname in ('procrastinate_jobs', 'procrastinate_periodic_defers', 'procrastinate_events')
       or n.nspname = @schema_bare and c.relname in ('adjourn_jobs', 'adjourn_schedules', 'adjourn_finished_jobs'))
  and not pg_has_role(c.relowner, 'usage')
order by owner
