"""How a run went, in the shape that programs written for Procrastinate know. adjourn neither makes nor takes one."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class JobResult:
    """How a run of a job went.

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
        """Return the seconds that the run took or, while it is running, has taken until ``current_timestamp``."""
        end = current_timestamp if self.end_timestamp is None else self.end_timestamp
        return end - self.start_timestamp

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes, and the duration of a run that has ended, as a dictionary."""
        values = attrs.asdict(self, recurse=False)
        if self.end_timestamp is not None:
            values["duration"] = self.duration(self.end_timestamp)
        return values
