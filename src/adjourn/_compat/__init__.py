"""Code that only keeps programs written for Procrastinate working. Each module says what it is for.

`adjourn.exceptions` and `_domain` cannot import from here, so some such names are there instead:
`ProcrastinateException`, the errors that are never raised, `JobToDefer`, `get_retry_strategy` and
`BaseRetryStrategy.get_schedule_in`.
"""
