-- What the caller's transaction is, before a job is completed in it. It has its id from then on: in autocommit mode the next statement
-- has another.
select pg_current_xact_id()::text as transaction, current_setting('transaction_isolation') as isolation,
       (select system_identifier::text from pg_control_system()) || ' ' || (select oid::text from pg_database where datname = current_database()) as database,
       to_regprocedure(@schema_name || '.adjourn_complete_v1(text,bigint,bigint,integer,timestamptz,text,text,double precision)') is not null as has_schema
