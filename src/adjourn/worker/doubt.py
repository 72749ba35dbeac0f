"""What may have happened in round trips whose answer never came."""

from __future__ import annotations

import time
from collections.abc import Iterable


class Doubt:
    """Remembers what a worker does not know: which jobs were claimed for it, and which of its outcomes were stored.

    Parameters
    ----------
    delay
        Seconds after which to look again for jobs that were claimed by a round trip that was given up.

    Attributes
    ----------
    is_present
        Whether jobs may have been claimed without this worker knowing it.
    """

    def __init__(self, delay: float) -> None:
        self._first_delay = self._delay = delay
        self.is_present: bool = False
        self.look_at: float | None = None
        """When to look for such jobs once more, by the monotonic clock; None if there is no need to."""
        self._sent: frozenset[int] = frozenset()

    @property
    def is_none(self) -> bool:
        """Whether it certainly knows its jobs: no round trip was given up that the server may still be at work on."""
        return not self.is_present and self.look_at is None

    def gave_up(self) -> None:
        """Note that a round trip was given up. The server may be at work on it, for nobody knows how long."""
        self._delay = self._first_delay
        self.look_at = time.monotonic() + self._delay

    def looked(self) -> None:
        """Note that such jobs were looked for. Look again later, after twice the time."""
        if self.look_at is not None:
            self._delay *= 2
            self.look_at = time.monotonic() + self._delay

    def sent(self, job_ids: Iterable[int]) -> None:
        """Note jobs whose outcomes were sent, and may have been stored."""
        self._sent |= frozenset(job_ids)

    def without_sent(self, refused: frozenset[int]) -> frozenset[int]:
        """Return those of the refused outcomes that were not stored before. Nobody else can have touched the others."""
        if self._sent:
            refused, self._sent = refused - self._sent, frozenset()
        return refused

    def forget(self) -> None:
        """Begin anew, because all jobs of this worker were given up."""
        self.is_present, self.look_at, self._sent = False, None, frozenset()
