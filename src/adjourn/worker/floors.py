"""Where a worker begins to look for ready jobs, while looks take long.

A transaction that stays open for long keeps the server from removing rows that were changed since. Then each look walks over all jobs
that have been claimed since. So after slow looks the next ones begin where the last one ended: at its floors. They miss jobs that become
ready below, such as one whose transaction is committed late, or one that is to be retried. So now and then a look is whole.
"""

from __future__ import annotations

from adjourn._domain.outcomes import Look

SLOW_LOOKS = 5
"""After so many slow looks in a row, the next ones have floors: one may be slow because the machine is busy."""
SHARE = 10
"""A whole look that has taken a while is followed by another after so many times as long."""
LONGEST = 2.0
"""Seconds after which a look is whole at the latest."""


class Floors:
    """The floors of one worker."""

    def __init__(self) -> None:
        self._slow_looks = 0
        self._floors: str | None = None
        self._whole_at = 0.0
        self.is_whole: bool = True
        """Whether the last look was whole."""

    @property
    def due_at(self) -> float | None:
        """When to look again if the last look has found too little, by the monotonic clock; None if it was whole."""
        return None if self.is_whole else self._whole_at

    def asked(self, now: float) -> str | None:
        """Return the floors for a look that begins now, or None if it is to be whole."""
        return self._floors if now < self._whole_at else None

    def told(self, asked: str | None, look: Look | None, now: float) -> None:
        """Take note of a look.

        Parameters
        ----------
        asked
            The floors that it had.
        look
            What the exchange says of it; None if it was fast.
        now
            When it ended.
        """
        self.is_whole = asked is None
        if look is not None:
            self._floors = look.floors or self._floors
        if self.is_whole:
            self._slow_looks = 0 if look is None else self._slow_looks + 1
            if look is None or self._slow_looks < SLOW_LOOKS:
                self._floors = None
            else:
                self._whole_at = now + min(SHARE * look.took, LONGEST)
