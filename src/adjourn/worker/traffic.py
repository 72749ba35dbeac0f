"""Counts a worker's round trips, and what they carry."""

from __future__ import annotations

from bisect import bisect_left

import attrs

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of the ranges of durations, in seconds; a last range has what took longer."""


@attrs.define
class Traffic:
    """The exchanges of one worker that have succeeded since it began.

    Attributes
    ----------
    seconds, counts
        How long they took together, and how many took how long.
    claimed, stored
        How many jobs they have claimed, and how many outcomes they have carried.
    """

    seconds: float = 0.0
    counts: list[int] = attrs.field(factory=lambda: [0] * (len(BOUNDS) + 1))
    claimed: int = 0
    stored: int = 0

    def add(self, seconds: float, claimed: int, stored: int) -> None:
        """Count one, which has taken so many seconds."""
        self.seconds += seconds
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.claimed += claimed
        self.stored += stored
