"""The error for a job that the database refuses because of an existing one."""

from __future__ import annotations

from adjourn.exceptions import AlreadyEnqueued

QUEUEING_LOCK_INDEX = "adjourn_jobs_queueing_lock"
"""The unique index that refuses a second waiting job with the same queueing lock."""


def already_enqueued(lock: str) -> AlreadyEnqueued:
    """Return the error for a taken queueing lock; ``lock`` is how the message names it."""
    return AlreadyEnqueued(
        f"A job with the queueing lock {lock} is waiting already; nothing was stored. Ignore this error where one "
        "waiting job is enough, or defer with another queueing_lock."
    )
