create table if not exists @schema.adjourn_migrations (
    version integer primary key, name text not null, applied_at timestamptz not null default now()
)
