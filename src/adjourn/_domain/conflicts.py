"""What is said when the database refuses a job because of one that is there already."""

from __future__ import annotations

from adjourn.exceptions import AlreadyEnqueued

QUEUEING_LOCK_INDEX = "adjourn_jobs_queueing_lock"
"""The unique index that refuses a second waiting job of one queueing lock."""


def already_enqueued(lock: str) -> AlreadyEnqueued:
    """Return the error for a queueing lock that is taken, as the message is to call it."""
    return AlreadyEnqueued(
        f"A job with the queueing lock {lock} is waiting already; nothing was stored. Ignore this error where one "
        "waiting job is enough, or defer with another queueing_lock."
    )
