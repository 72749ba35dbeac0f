"""The runs that were asked to end and have not ended, and the slots of a worker that they hold.

A thread cannot be ended from outside, and an async task can refuse to be cancelled. Each of them holds a slot until it ends
by itself. So does a body that its worker no longer follows, because the worker was declared dead while it ran.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from adjourn.worker.runners import Run

INTERVAL = 60.0
"""Seconds after which such a run is told, again and again."""


class Overdue:
    """Keeps the overdue runs of one worker.

    Parameters
    ----------
    slots
        Returns how many jobs the worker can run at once.
    patience
        Seconds for which all slots may be lost; None for no limit.
    left
        Returns how many slots are held by bodies that the worker no longer follows.
    on_run
        Called with each overdue run, each `INTERVAL`.
    on_lost
        Called each `INTERVAL` while all slots are lost, with the seconds that they have been.
    on_end
        Called with these seconds when the patience is over.
    """

    def __init__(
        self,
        slots: Callable[[], int],
        patience: float | None,
        left: Callable[[], int],
        on_run: Callable[[Run], object],
        on_lost: Callable[[float], object],
        on_end: Callable[[float], object],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots = slots
        self._patience = patience
        self._left = left
        self._on_run = on_run
        self._on_lost = on_lost
        self._on_end = on_end
        self._runs: set[Run] = set()
        self._lost_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False

    @property
    def runs(self) -> tuple[Run, ...]:
        """The overdue runs. Any thread may look."""
        return tuple(self._runs)

    def add(self, run: Run) -> None:
        """Keep a run that was asked to end."""
        self._runs.add(run)
        self._wait(run)
        self.check()

    def discard(self, run: Run) -> None:
        """Forget a run that has ended, or is no longer followed."""
        self._runs.discard(run)
        self.check()

    def check(self) -> None:
        """See whether all slots are lost; to be called when something has changed."""
        is_lost = not self._is_closed and len(self._runs) + self._left() >= self._slots()
        if is_lost and self._timer is None:
            self._lost_since = time.monotonic()
            self._wait_for_slots()
        elif not is_lost and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop looking at the slots."""
        self._is_closed = True
        self.check()

    def _wait(self, run: Run) -> None:
        if run.timer is not None:
            run.timer.cancel()
        run.timer = self._loop.call_later(INTERVAL, self._remind, run)

    def _remind(self, run: Run) -> None:
        self._wait(run)
        self._on_run(run)

    def _wait_for_slots(self) -> None:
        duration = time.monotonic() - self._lost_since
        left = INTERVAL if self._patience is None else max(self._patience - duration, 0.0)
        self._timer = self._loop.call_later(min(INTERVAL, left), self._look_at_slots)

    def _look_at_slots(self) -> None:
        duration = time.monotonic() - self._lost_since
        if self._patience is not None and duration >= self._patience:
            self._on_end(duration)
            return
        self._wait_for_slots()
        self._on_lost(duration)
