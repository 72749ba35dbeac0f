"""One run of a job, and why it may be asked to end."""

from __future__ import annotations

import enum


class AbortReason(enum.StrEnum):
    """Why a running job is asked to end."""

    USER_REQUEST = "user_request"
    """A program called ``cancel_job_by_id(..., abort=True)``."""
    SHUTDOWN = "shutdown"
    """The worker is stopping."""
    TIMEOUT = "timeout"
    """It has run for longer than its task's ``timeout``."""


def not_aborted() -> AbortReason | None:
    """Return None: the run has not been asked to end."""
    return None


def nobody_listens(job: object, text: str) -> None:
    """Do nothing with what a task says of its progress: no worker runs it."""
