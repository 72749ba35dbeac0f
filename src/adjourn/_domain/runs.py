"""One run of a job: why it is asked to end, and how it went."""

from __future__ import annotations

import enum
from typing import Any

import attrs


class AbortReason(enum.StrEnum):
    """Why a running job is asked to end."""

    USER_REQUEST = "user_request"
    """Somebody called ``cancel_job_by_id(..., abort=True)``."""
    SHUTDOWN = "shutdown"
    """The worker is stopping."""
    TIMEOUT = "timeout"
    """It has run for longer than its task's ``timeout``."""


@attrs.frozen(kw_only=True)
class JobResult:
    """How a run went, as log records tell it.

    Attributes
    ----------
    start_timestamp, end_timestamp
        When it began and ended: seconds since the epoch; None for the end while it runs.
    result
        What the task returned.
    """

    start_timestamp: float
    end_timestamp: float | None = None
    result: Any = None

    def duration(self, current_timestamp: float) -> float:
        """Return how many seconds it took, or, while it runs, has taken until ``current_timestamp``."""
        end = current_timestamp if self.end_timestamp is None else self.end_timestamp
        return end - self.start_timestamp

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, and the duration of a run that has ended, as a dictionary."""
        values = attrs.asdict(self, recurse=False)
        if self.end_timestamp is not None:
            values["duration"] = self.duration(self.end_timestamp)
        return values
