"""What those are told who wait for jobs."""

from __future__ import annotations

from collections.abc import Sequence

from adjourn._domain.jobs import Job, Status
from adjourn.exceptions import WaitTimeout

HELD_PAUSES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1.0)
"""Seconds before a job is looked at again that another transaction has locked; the last goes on."""
IN_A_TASK = (
    "A task waits for other jobs in its thread, and keeps a place of its worker meanwhile. If all places of all workers are "
    "kept like this, the jobs that it waits for never run: give the wait a timeout, and the worker more places than tasks "
    "that wait. (This is said once.)"
)
WAITS_INSIDE = (
    "timeout={timeout!r}: with a connection of your own this cannot wait, because its transaction would stay open. Leave one of "
    "both out."
)
_LIVE = (Status.TODO, Status.DOING)
_MOST_NAMED = 10


def has_ended(job: Job) -> bool:
    """Return whether a job that was read has ended."""
    return job.status not in _LIVE


def workflow_timed_out(left: Sequence[int], asked: int, timeout: float | None) -> WaitTimeout:
    """Return the error for a workflow that has not ended in time. See `timed_out`."""
    return WaitTimeout(f"Workflow {left[0]} has not ended within {timeout:g} seconds.", left)


def timed_out(left: Sequence[int], asked: int, timeout: float | None) -> WaitTimeout:
    """Return the error for jobs that have not ended in time.

    Parameters
    ----------
    left
        Their ids.
    asked
        How many were waited for.
    timeout
        For how many seconds.
    """
    named = ", ".join(map(str, left[:_MOST_NAMED])) + (", ..." if len(left) > _MOST_NAMED else "")
    which = f"Job {named} has" if asked == 1 else f"{len(left)} of {asked} jobs ({named}) have"
    return WaitTimeout(f"{which} not ended within {timeout:g} seconds.", left)
