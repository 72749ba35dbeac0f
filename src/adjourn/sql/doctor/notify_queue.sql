select pg_notification_queue_usage()::double precision as usage
