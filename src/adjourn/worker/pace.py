"""When the exchange looks for jobs: how soon after a round trip the next one is due, and what that one looks at."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

PROBE_INTERVAL = 0.05
"""Seconds between checks for jobs that are due or not placed yet, while there is enough to do."""
SATURATED = 1.0
"""Seconds after which a worker that always finds enough work need not be notified of more."""
PLACE_PATIENCE = 4.0
"""Seconds after which a worker that does not wait gives up to place what other transactions hold."""
PLACE_RETRY = 0.2
"""Seconds after which to place jobs again when another worker was doing so, or other transactions held what there was to place."""
CONFIRMATIONS = (0.02, 0.1)
"""Seconds after which to look again, twice, when a transaction that was storing a job may not have seen that this worker
waits for jobs."""
SHORTEST_WAIT = 0.001


class ExchangePace:
    """When one worker looks for jobs."""

    def __init__(self) -> None:
        self._probe_at = 0.0
        self._place_at: float | None = None
        self._vain_since: float | None = None
        self._saturated_since: float | None = None
        self._confirmations: deque[float] = deque()

    # Probing: the exchange looks also for jobs that are due or not placed yet

    def probe_next(self) -> None:
        """Have the next exchange probe."""
        self._probe_at = 0.0

    def is_to_probe(self, now: float) -> bool:
        """Return whether the exchange that begins now is to probe."""
        return now >= self._probe_at

    def probed(self, now: float) -> None:
        """Take note that an exchange probes."""
        self._probe_at = now + PROBE_INTERVAL

    # Placing

    def may_place(self, now: float) -> bool:
        """Return whether to place the jobs that have to be placed."""
        return now >= (self._place_at or 0.0)

    def has_placed(self, has_moved: bool, is_to_repeat: bool, now: float) -> None:
        """Take note of an attempt to place jobs: whether it has moved any, and whether to repeat it a little later."""
        self._place_at = now + PLACE_RETRY if is_to_repeat else None
        if has_moved:
            self._vain_since = None
        elif self._vain_since is None:
            self._vain_since = now

    def has_nothing_to_place(self) -> None:
        """Take note that there is nothing to place, or that others have done so."""
        self._place_at = self._vain_since = None

    def has_placed_in_vain(self, now: float) -> bool:
        """Return whether for long no attempt to place jobs has moved any."""
        return self._vain_since is not None and now - self._vain_since >= PLACE_PATIENCE

    @property
    def is_to_place_later(self) -> bool:
        """Whether to wait before the next attempt to place jobs, although some are due."""
        return self._place_at is not None

    # Claiming

    def is_saturated(self, now: float) -> bool:
        """Return whether the worker has found enough work for so long that it need not be notified of more."""
        return self._saturated_since is not None and now - self._saturated_since > SATURATED

    def claimed(self, claimed: int, limit: int, now: float) -> None:
        """Take note of how many jobs were claimed, of those that the worker asked for."""
        if claimed < limit:
            self._saturated_since = None
        elif self._saturated_since is None:
            self._saturated_since = now

    def confirm(self) -> None:
        """Look again soon, twice: a transaction that is storing a job right now may not have seen that this worker waits."""
        self._confirmations.extend(CONFIRMATIONS)

    # Waiting

    def wait(self, longest: float, deadlines: Iterable[float | None], *, places: bool) -> float:
        """Return the seconds to wait for a reason to exchange.

        Parameters
        ----------
        longest
            The most seconds.
        deadlines
            When something else is to be done, by the monotonic clock; None for what is not.
        places
            Whether the worker would place jobs.
        """
        if self._confirmations:
            longest = min(longest, self._confirmations.popleft())
        times = [at for at in (self._place_at if places else None, *deadlines) if at is not None]
        return min(longest, max(min(times) - time.monotonic(), SHORTEST_WAIT)) if times else longest
