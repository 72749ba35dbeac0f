"""What running tasks say of their progress, until it is stored."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from adjourn._domain.jobs import Job
from adjourn._domain.outcomes import Claim

PACE = 1.0
"""Seconds between two times that it is stored; in between, what is said later replaces what was said before."""


class Advances:
    """The last that each run has said of its progress. Its methods may be called from any thread.

    Attributes
    ----------
    on_news
        Called when there is something to store, and was nothing before.
    """

    def __init__(self) -> None:
        self.on_news: Callable[[], object] = lambda: None
        self._changing = threading.Lock()
        self._said: dict[Claim, str] = {}
        self._stored_at = -math.inf

    def say(self, job: Job, text: str) -> None:
        """Take note of the progress of a run, as JSON."""
        with self._changing:
            is_news = not self._said
            self._said[job.id or 0, job.claim] = text
        if is_news:
            self.on_news()

    def due_in(self) -> float:
        """Return in how many seconds there is something to store; infinity for nothing."""
        return max(self._stored_at + PACE - time.monotonic(), 0.0) if self._said else math.inf

    def take(self) -> dict[Claim, str]:
        """Take what is to be stored."""
        with self._changing:
            said, self._said = self._said, {}
            self._stored_at = time.monotonic()
            return said

    def give_back(self, said: dict[Claim, str]) -> None:
        """Take back what could not be stored, unless something newer was said since."""
        with self._changing:
            self._said = said | self._said
