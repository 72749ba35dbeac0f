-- Drops what a build has left that was interrupted. The first lock makes sure that nobody is building it any more.
do $adjourn$
begin
    perform set_config('lock_timeout', '500ms', true);
    lock table @partition in share update exclusive mode;
    if exists (select from pg_index where indexrelid = to_regclass(@child_text) and not indisvalid) then
        drop index @child;
    end if;
end $adjourn$
