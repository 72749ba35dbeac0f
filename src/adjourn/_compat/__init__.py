"""What exists only so that programs written for Procrastinate keep working. Each module says what it is for.

On the ground floor, which cannot import from here, the same is said of a name where it stands: `ProcrastinateException`
and the errors that are never raised, `JobToDefer`, `get_retry_strategy` and `BaseRetryStrategy.get_schedule_in`.
"""
