"""Jobs whose workers have died twice run apart from others. This is what one worker knows of that: see `Exchanged.apart`."""

from __future__ import annotations

from adjourn.sql.constants import RESTING

CLEARING_INTERVAL = 1.0
"""Seconds after which a worker that ends its jobs, to run one apart, asks again whether it still has to."""
LONGEST_CLEARING = 30.0
"""Seconds after which such a worker does not wait any longer for its jobs to end: for as long again it claims others."""


class Apart:
    """Whether a worker runs jobs apart from others, or ends those that it has because it is about to."""

    def __init__(self) -> None:
        self.is_clearing: bool = False
        """Whether it ends the jobs that it has."""
        self._worst: int | None = None
        self._told_at = 0.0
        self._clearing_since: float | None = None
        self._rests_until = 0.0

    def forget(self) -> None:
        """Begin anew, without any jobs."""
        self._worst = None

    def asked(self, now: float) -> int | None:
        """Return what to tell the database of it."""
        return RESTING if self._worst is None and now < self._rests_until else self._worst

    def told(self, worst: int | None, *, running: int, now: float) -> None:
        """Take note of what the database has answered, when this many jobs ran."""
        if worst is None:
            self._clearing_since = None
        elif self._worst is None:
            self.is_clearing = running > 0
            self._told_at = now
            if self._clearing_since is None:
                self._clearing_since = now
        self._worst = worst

    def room(self, slots: int, running: int, now: float) -> int | None:
        """Return how many jobs that run apart to claim at most, or none while others have to end first.

        Returns
        -------
        int or None
            None if this worker claims jobs as usual.
        """
        if self._worst is None:
            return None
        self.is_clearing = self.is_clearing and running > 0
        if not self.is_clearing:
            self._clearing_since = None
            return max(0, slots - running)
        if now < self._told_at + CLEARING_INTERVAL:
            return 0
        if self._clearing_since is not None and now > self._clearing_since + LONGEST_CLEARING:
            # One of its jobs takes long, or never ends. Other jobs do not wait for that.
            self._clearing_since, self._rests_until = None, now + LONGEST_CLEARING
        # The job that it makes room for may have run elsewhere meanwhile, or a better one may have come.
        self._worst = None
        return None
