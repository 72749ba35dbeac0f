"""Jobs of batch tasks that a worker has claimed, until there are enough of them for a call."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.protocols import BatchLike, TaskLike


class Gathering:
    """The jobs of batch tasks that wait for others. Two threads may take them at once: each job goes to one.

    Parameters
    ----------
    tasks
        The worker's tasks, by their names.
    on_ready
        Called with the first job of a call, whose ``companions`` are the others, when no more are waited for.
    """

    def __init__(self, tasks: Mapping[str, TaskLike], on_ready: Callable[[ClaimedJob], object]) -> None:
        self._batches: dict[str, BatchLike] = {
            name: task.batch for name, task in tasks.items() if task.batch is not None
        }
        self._on_ready = on_ready
        self._waiting: dict[str, deque[ClaimedJob]] = {name: deque() for name in self._batches}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.sizes: str | None = self.sizes_up_to(None)
        """How many jobs one call takes, by the names of tasks, as JSON; None if no task of this worker takes several."""
        self.largest: int = max((batch.size for batch in self._batches.values()), default=1)
        """The most of these."""

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def __iter__(self) -> Iterator[ClaimedJob]:
        return iter([job for waiting in self._waiting.values() for job in tuple(waiting)])

    def sizes_up_to(self, most: int | None) -> str | None:
        """Return ``sizes``, where a call takes no more than so many jobs."""
        if not self._batches:
            return None
        return json.dumps(
            {name: batch.size if most is None else min(batch.size, most) for name, batch in self._batches.items()}
        )

    def split(self, jobs: Sequence[ClaimedJob]) -> list[ClaimedJob]:
        """Take those of batch tasks from jobs that were claimed, and return the others, best first, with those that begin a call."""
        others: list[ClaimedJob] = []
        met: set[str] = set()
        for job in jobs:
            if (waiting := self._waiting.get(job.task_name)) is None:
                others.append(job)
                continue
            waiting.append(job)
            met.add(job.task_name)
            if len(waiting) >= self._batches[job.task_name].size:
                others += self._call_of(job.task_name)
        for name in sorted(met):
            if not self._waiting[name]:
                continue
            if not self._batches[name].wait:
                others += self._call_of(name)
            elif name not in self._timers:
                loop = asyncio.get_running_loop()
                self._timers[name] = loop.call_later(self._batches[name].wait, self._wait_no_longer, name)
        return others

    def wait_no_longer(self) -> None:
        """Have the calls begin of all that wait, because no more jobs come."""
        for name in sorted(name for name, waiting in self._waiting.items() if waiting):
            for job in self._call_of(name):
                self._on_ready(job)

    def take_all(self) -> Iterator[ClaimedJob]:
        """Take one job after the other, so that no call takes it."""
        for waiting in self._waiting.values():
            with contextlib.suppress(IndexError):
                while True:
                    yield waiting.popleft()

    def clear(self) -> None:
        """Forget them, because they belong to other workers now."""
        for waiting in self._waiting.values():
            waiting.clear()

    def _wait_no_longer(self, name: str) -> None:
        del self._timers[name]
        for job in self._call_of(name):
            self._on_ready(job)

    def _call_of(self, name: str) -> list[ClaimedJob]:
        """Take the jobs of one call; return the first, with the others as its companions, or nothing if there are none."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
        taken: list[ClaimedJob] = []
        with contextlib.suppress(IndexError):
            while len(taken) < self._batches[name].size:
                taken.append(self._waiting[name].popleft())
        if not taken:
            return []
        first, *others = taken
        first.companions = tuple(others)
        return [first]
