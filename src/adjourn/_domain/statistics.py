"""How long runs take and how long jobs wait, counted in buckets, and what the ends of runs are called."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

RUN_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""The upper bounds of the buckets of runs, in seconds; a last bucket has what took longer."""
WAIT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0)
"""Those of waits."""
BUCKETS = len(RUN_BOUNDS) + 1
OTHER = "(other)"
"""The name that stands for further queues and tasks, where there are too many to tell apart."""


@attrs.frozen(kw_only=True)
class Durations:
    """How long something took, many times: a sum, and a histogram.

    Attributes
    ----------
    seconds
        The sum.
    counts
        How many took at most as long as each of the ``bounds``, and no less than the one before; the last number is of those
        that took longer than all.
    bounds
        In seconds.
    """

    seconds: float
    counts: Sequence[int]
    bounds: Sequence[float]

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """How long they took on average, in seconds; None if there were none."""
        count = self.count
        return self.seconds / count if count else None

    def percentile(self, percent: float) -> float | None:
        """Return how many seconds so many of 100 took at most; None if there were none.

        It is as exact as the buckets are: within one, the durations count as evenly spread. Of those that took longer than all
        bounds, only the largest bound is known.

        Parameters
        ----------
        percent
            A number from 0 to 100, such as 95.
        """
        rank, below, lower = percent / 100 * self.count, 0, 0.0
        for count, upper in zip(self.counts, self.bounds, strict=False):
            if count and below + count >= rank:
                return lower + (upper - lower) * max(rank - below, 0.0) / count
            below, lower = below + count, upper
        return self.bounds[-1] if self.counts[-1] else None

    def __add__(self, other: Durations) -> Durations:
        """Return both together. They have the same bounds."""
        counts = [mine + yours for mine, yours in zip(self.counts, other.counts, strict=True)]
        return Durations(seconds=self.seconds + other.seconds, counts=counts, bounds=self.bounds)
