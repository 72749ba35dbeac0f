"""How long a worker may take the jobs that it has claimed for its own.

The database counts a worker as dead when its last heartbeat is too old, and then gives its jobs to others. A worker that
was stopped for a while, with its process or its machine, does not notice that by itself. So it looks at its own clock
before a job begins.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable


def _clock() -> Callable[[], float]:
    """Return a clock that goes on while the machine is suspended, where there is one."""
    # CLOCK_MONOTONIC goes on in that time on macOS, but not on Linux.
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        if (number := getattr(time, name, None)) is not None:
            return functools.partial(time.clock_gettime, number)
    return time.monotonic


now: Callable[[], float] = _clock()
"""Returns the seconds of a clock that cannot be set, and goes on while the machine is suspended."""


class Lease:
    """When the database was last heard to count this worker as alive. Any thread may use it.

    Parameters
    ----------
    seconds
        How long a worker counts as alive after a heartbeat.
    interval
        Seconds between two heartbeats.
    """

    def __init__(self, seconds: float, interval: float) -> None:
        self.seconds = seconds
        # Half-way between the next heartbeat and the end.
        self._patience = (interval + seconds) / 2
        self._asked_at = self._ends_at = -math.inf

    @property
    def is_valid(self) -> bool:
        """Whether this worker still counts as alive, so that its jobs cannot have been given to others."""
        return now() < self._ends_at

    @property
    def is_due(self) -> bool:
        """Whether the last heartbeat is so old that somebody else than the heartbeat's thread has to send one."""
        return now() - self._asked_at > self._patience

    @property
    def age(self) -> float:
        """Seconds since this worker was last asked for a heartbeat that succeeded; infinite if it never was."""
        return now() - self._asked_at

    def confirm(self, asked_at: float, seconds: float | None = None) -> None:
        """Note that the database counts this worker as alive.

        Parameters
        ----------
        asked_at
            When it was asked, by `now`: before the heartbeat was sent, not when the answer came.
        seconds
            How long it counts as alive from then on, if not for the usual time.
        """
        if asked_at >= self._asked_at:
            self._asked_at, self._ends_at = asked_at, asked_at + (self.seconds if seconds is None else seconds)

    def revoke(self) -> None:
        """Note that the database counts this worker as dead, or knows it no longer."""
        self._asked_at = self._ends_at = -math.inf
