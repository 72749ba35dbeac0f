"""The error for a job that the database refuses because of an existing one."""

from __future__ import annotations

from collections.abc import Sequence

from adjourn.exceptions import AlreadyEnqueued

QUEUEING_LOCK_INDEX = "adjourn_jobs_queueing_lock"
"""The unique index that refuses a second waiting job with the same queueing lock."""


def already_enqueued(lock: str) -> AlreadyEnqueued:
    """Return the error for a taken queueing lock; ``lock`` is how the message names it."""
    return AlreadyEnqueued(
        f"A job with the queueing lock {lock} is waiting already; nothing was stored. Ignore this error where one "
        "waiting job is enough, or defer with another queueing_lock."
    )


def already_there(job_ids: Sequence[int]) -> AlreadyEnqueued:
    """Return the error for unique jobs; ``job_ids`` are those that are there already."""
    if not job_ids:
        which = "Two of these jobs have the same unique key, so none of them was stored"
    elif len(job_ids) == 1:
        which = f"Job {job_ids[0]} has the same unique key; nothing was stored"
    else:
        which = f"{len(job_ids)} jobs have the same unique keys, {job_ids[0]} among them; nothing was stored"
    return AlreadyEnqueued(
        f"{which}. Ignore this error where one job is enough, or defer with Unique(on_conflict='skip').", job_ids
    )
