"""The database in memory: the tables, and what each named statement does to them.

`tables` is plain data, `rules` has code that several statements share, and `claims` says which jobs a worker gets. `statements`
and the modules that end in ``_statements`` have a function for each statement, and `store` executes them one after the other,
for all threads.
"""
