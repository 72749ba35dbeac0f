-- Makes the partitions of the weeks ahead. If that has to wait for others, workers do it later.
do $adjourn$
begin
    perform @schema.adjourn_partition_v1(@weeks_ahead);
exception when lock_not_available or insufficient_privilege then
    raise warning using message = 'No partitions were made for the weeks ahead: ' || sqlerrm;
end $adjourn$;
