"""``adjourn demo``: run real jobs, kill a worker half-way, and check that every job is done exactly once.

Read `tasks` first: it is an app with one task, like one of your own. `synchronous_program` and `asynchronous_program`
defer half of the jobs each. `show` runs the demo: it starts a database server, those two programs and two workers,
kills one of the workers, and checks the results.
"""
