-- Outside of a transaction: it waits for others, and holds nobody up.
create index concurrently if not exists @child on @partition@definition
