"""Counts what becomes of a worker's jobs and how long they take, until it is stored."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple, Protocol, TypeAlias

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.statistics import BUCKETS, OTHER, RUN_BOUNDS, WAIT_BOUNDS
from adjourn.events import JobAborted, JobEnded, JobHandedBack, JobRetried, JobSucceeded, JobSuspended

INTERVAL = 10.0
"""Seconds between two times that it is stored."""
MOST_ROWS = 200
"""So many rows are stored at a time, one of each queue, task and outcome."""
BLOCK = 128
"""Runs are counted when so many have ended, or when it is time to store them."""
WAITS = 8
"""Of so many runs of one kind in a block, or a few more, the waits are looked at, and stand for those of their neighbours: jobs that
end one after the other have waited alike."""
NEIGHBOURS = 8
"""In a whole block, which a busy worker fills, the wait of one run stands for at least so many of its kind."""
OUTCOMES: dict[type[JobEnded], str] = {
    JobSucceeded: "succeeded",
    JobRetried: "retried",
    JobAborted: "aborted",
    JobHandedBack: "returned",
    JobSuspended: "suspended",
}
"""The outcomes of runs by the events that tell of them. The others are failures."""
_COLUMNS = (
    *("queue", "task_name", "outcome"),
    *("jobs", "run_seconds", "wait_seconds", "run_counts", "wait_counts"),
)
_MOST_NAMED = MOST_ROWS - len(OUTCOMES) - 1

Key: TypeAlias = tuple[str, str, str]
EndedRun: TypeAlias = tuple[ClaimedJob, type[JobEnded], float]
"""A run's job, the event that tells how it has ended, and how long it took, in seconds."""


class EndedRuns(NamedTuple):
    """Runs of one task in one queue that have ended alike: how many, how long they took, in seconds, and how many of these durations
    belong into each bucket of `RUN_BOUNDS`."""

    queue: str
    task_name: str
    outcome: str
    jobs: int
    seconds: float
    counts: Sequence[int]


class ToldOfEnds(Protocol):
    """Who is told of runs as they are counted."""

    def expect(self, tally: RunTally) -> None:
        """Have a tally count in time, which has begun to note runs. This is called on the event loop of its worker."""

    def end(self, ended: Sequence[EndedRuns]) -> None:
        """Be told of them, in whichever thread."""


class RunTally:
    """What has become of one worker's jobs since that was stored last. Its methods may be called from any thread.

    Parameters
    ----------
    told
        Who is told of the runs as well, as soon as these are counted.
    is_stored
        Whether anybody stores them. By default, somebody does.
    """

    def __init__(self, told: Collection[ToldOfEnds] = (), *, is_stored: bool = True) -> None:
        self._told = told
        self._is_stored = is_stored
        self._is_expected = False
        self._changing = threading.Lock()
        self._ended: deque[EndedRun] = deque()
        self._rows: dict[Key, list[Any]] = {}
        self._due_at = time.monotonic() + INTERVAL

    @property
    def is_due(self) -> bool:
        """Whether it is time to store it."""
        return bool(self._ended or self._rows) and time.monotonic() >= self._due_at

    def add(self, job: ClaimedJob, kind: type[JobEnded], seconds: float) -> None:
        """Count a run that has ended.

        Parameters
        ----------
        job
            Its job.
        kind
            The event that tells how it has ended.
        seconds
            How long it took.
        """
        # This is done for each job, so the rest is done for many at once.
        self._ended.append((job, kind, seconds))
        if len(self._ended) >= BLOCK:
            with self._changing:
                self._count(is_block=True)
        elif self._told and not self._is_expected:
            self._is_expected = True
            for each in tuple(self._told):
                each.expect(self)

    def count(self) -> None:
        """Count the runs that have ended and are not counted yet."""
        with self._changing:
            self._count()

    def store(self, store: Callable[[str], object]) -> None:
        """Store what was counted, and begin anew.

        Parameters
        ----------
        store
            Stores rows, as JSON. If it fails, they are counted again, and its error is raised.
        """
        if taken := self._take():
            try:
                store(_text_of(taken))
            except BaseException:
                self._give_back(taken)
                raise

    async def store_async(self, store: Callable[[str], Awaitable[object]]) -> None:
        """Store what was counted as `store` does, and await that."""
        if taken := self._take():
            try:
                await store(_text_of(taken))
            except BaseException:
                self._give_back(taken)
                raise

    def _take(self) -> dict[Key, list[Any]]:
        with self._changing:
            self._count()
            taken, self._rows = self._rows, {}
            self._due_at = time.monotonic() + INTERVAL
        return taken

    def _count(self, is_block: bool = False) -> None:
        """Add the runs that have ended to the rows. Another thread may append further ones meanwhile."""
        self._is_expected = False
        take = self._ended.popleft
        counted = []
        for (queue, task_name, kind), (jobs, runs) in _grouped_ends([take() for _ in range(len(self._ended))]).items():
            counts = [0] * BUCKETS
            for bucket in map(bisect_left, repeat(RUN_BOUNDS), runs):
                counts[bucket] += 1
            ended = EndedRuns(queue, task_name, OUTCOMES.get(kind, "failed"), len(jobs), sum(runs), counts)
            counted.append(ended)
            if self._is_stored:
                self._add(ended, jobs, is_block)
        if counted:
            for each in tuple(self._told):
                each.end(counted)

    def _add(self, ended: EndedRuns, jobs: Sequence[ClaimedJob], is_block: bool) -> None:
        row = self._row((ended.queue, ended.task_name, ended.outcome))
        row[0] += ended.jobs
        row[1] += ended.seconds
        row[3][:] = map(int.__add__, row[3], ended.counts)
        for waited, count in waits_of(jobs, is_block):
            row[2] += waited * count
            row[4][bisect_left(WAIT_BOUNDS, waited)] += count

    def _give_back(self, taken: Mapping[Key, Sequence[Any]]) -> None:
        with self._changing:
            for key, row in taken.items():
                mine = self._row(key)
                mine[:3] = [old + new for old, new in zip(mine[:3], row[:3], strict=True)]
                for counts, more in zip(mine[3:], row[3:], strict=True):
                    counts[:] = map(int.__add__, counts, more)

    def _row(self, key: Key) -> list[Any]:
        """Return the row of this name, or the one of all others if there are too many names."""
        row = self._rows.get(key)
        if row is None:
            if len(self._rows) >= _MOST_NAMED:
                key = OTHER, OTHER, key[2]
            row = self._rows.setdefault(key, [0, 0.0, 0.0, [0] * BUCKETS, [0] * BUCKETS])
        return row


def _grouped_ends(
    ended: Iterable[EndedRun],
) -> dict[tuple[str, str, type[JobEnded]], tuple[list[ClaimedJob], list[float]]]:
    """Return runs that have ended by queue, task and event: their jobs, and how long they took."""
    groups: dict[tuple[str, str, type[JobEnded]], tuple[list[ClaimedJob], list[float]]] = {}
    queue = task_name = kind = None
    jobs: list[ClaimedJob] = []
    runs: list[float] = []
    for job, its_kind, seconds in ended:
        # Most jobs are of the same kind as the one before.
        if job.task_name != task_name or its_kind is not kind or job.queue != queue:
            queue, task_name, kind = key = job.queue, job.task_name, its_kind
            jobs, runs = groups.setdefault(key, ([], []))
        jobs.append(job)
        runs.append(seconds)
    return groups


def grouped(began: Iterable[ClaimedJob]) -> dict[tuple[str, str], list[ClaimedJob]]:
    """Return jobs by queue and task."""
    groups: dict[tuple[str, str], list[ClaimedJob]] = {}
    queue = task_name = None
    jobs: list[ClaimedJob] = []
    for job in began:
        if job.task_name != task_name or job.queue != queue:
            queue, task_name = key = job.queue, job.task_name
            jobs = groups.setdefault(key, [])
        jobs.append(job)
    return groups


def waits_of(jobs: Sequence[ClaimedJob], is_block: bool) -> Iterator[tuple[float, int]]:
    """Look at the waits of some of these jobs, which are of one kind: each with the number of jobs that it stands for.

    Parameters
    ----------
    jobs
        The jobs, in the order of their runs.
    is_block
        Whether they are part of a whole block.
    """
    share = max(len(jobs) // WAITS, NEIGHBOURS if is_block else 1)
    for start in range(0, len(jobs), share):
        yield jobs[start].wait_seconds, min(share, len(jobs) - start)


def _text_of(taken: Mapping[Key, Sequence[Any]]) -> str:
    return json.dumps([dict(zip(_COLUMNS, (*key, *row), strict=True)) for key, row in taken.items()])
