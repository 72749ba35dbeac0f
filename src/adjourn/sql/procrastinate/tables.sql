-- What the migration knows, in one row.
create table if not exists @schema.adjourn_procrastinate (
    single boolean primary key default true check (single),
    their_schema text not null,
    started_at timestamptz not null default now(),
    forwarding boolean not null,                      -- jobs that Procrastinate stores are moved here at once
    map_ids boolean not null,                         -- they get ids of ours
    first_id bigint,                                  -- the first id of ours, beyond theirs; null if ids are mapped
    their_last_id bigint not null,                    -- the last id of theirs when that was decided
    history_bookmark bigint,                          -- the last id whose end was copied, or that was passed over
    history_floor bigint,                             -- from where the next pass goes on; null between two passes
    history_high bigint not null default 0            -- the last id that any pass has reached
);
-- What the triggers could not do.
create table if not exists @schema.adjourn_procrastinate_problems (
    at timestamptz not null default now(), what text not null, job_id bigint, message text not null
);
alter table @schema.adjourn_procrastinate_problems replica identity full;
-- The jobs that got another id.
create table if not exists @schema.adjourn_migrated_ids (
    old_id bigint primary key, new_id bigint not null unique, at timestamptz not null default now()
);
