"""``adjourn demo``: real work on real input, with an accident in the middle.

Read `tasks` first: it is an app with one task, as yours would be. `synchronous_program` and `asynchronous_program`
defer its jobs, half of them each. `show` is the stage around them: it starts a database server, those two programs and
two workers, kills one of the workers, and checks what came out.
"""
