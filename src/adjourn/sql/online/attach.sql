-- Whoever reads or stores finished jobs waits while this waits for a lock, so it does not wait for long.
do $adjourn$
begin
    perform set_config('lock_timeout', '500ms', true);
    alter index @index attach partition @child;
end $adjourn$
