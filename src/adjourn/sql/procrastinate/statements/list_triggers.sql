-- Triggers of others that fire when a job is deleted, as each is that moves.
select t.tgname as name, t.tgfoid::regproc::text as function
from pg_trigger t
where t.tgrelid = (@theirs_name || '.procrastinate_jobs')::regclass and not t.tgisinternal and (t.tgtype & 8) <> 0
  and not starts_with(t.tgname, 'procrastinate_') and not starts_with(t.tgname, 'adjourn_')
order by 1
