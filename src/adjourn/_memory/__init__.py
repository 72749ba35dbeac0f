"""The database in memory: the tables, and what each named statement does to them.

`tables` is plain data, and `rules` has code that several statements share. `statements`, `worker_statements` and
`schedule_statements` have a function for each statement, and `store` executes them one after the other, for all
threads.
"""
