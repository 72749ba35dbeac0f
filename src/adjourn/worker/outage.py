"""An outage of the database, as one role of a worker sees it: how often it failed in a row, and what of it is news."""

from __future__ import annotations

import math
import time

SHORTEST_DELAY = 0.1
LONGEST_DELAY = 2.0
REMINDER = 60.0
"""Seconds after which an outage that goes on is news again."""


class Outage:
    """Counts the failures in a row of one role.

    Attributes
    ----------
    failures
        How many times in a row it has failed; 0 while the database serves it.
    error
        The last error, or None while the database serves it.
    is_news
        Whether the last failure was the first one, or of another kind than the one before, or a minute has passed since
        one that was news.
    """

    def __init__(self) -> None:
        self.failures: int = 0
        self.is_news: bool = False
        self.error: BaseException | None = None
        self._began_at = 0.0
        self._told_at = -math.inf
        self._kind: type[BaseException] | None = None

    @property
    def duration(self) -> float:
        """Seconds since the first failure."""
        return time.monotonic() - self._began_at if self.failures else 0.0

    def fail(self, error: BaseException) -> float:
        """Count a failure, and return the seconds after which to try again."""
        now = time.monotonic()
        if not self.failures:
            self._began_at = now
        self.failures += 1
        self.error = error
        self.is_news = type(error) is not self._kind or now - self._told_at >= REMINDER
        if self.is_news:
            self._kind, self._told_at = type(error), now
        return min(SHORTEST_DELAY * 2.0 ** min(self.failures - 1, 10), LONGEST_DELAY)

    def end(self) -> bool:
        """Note that the database serves this role, and return whether it did not before."""
        if not self.failures:
            return False
        self.failures, self.error, self._kind = 0, None, None
        return True
