"""Postgres's part, played in memory: the tables, and what each named statement does to them.

`tables` is plain data, and `rules` are what several statements share. `statements`, `worker_statements` and
`schedule_statements` answer each statement with a function, and `store` sees to it that they come one after the other,
from whichever thread.
"""
