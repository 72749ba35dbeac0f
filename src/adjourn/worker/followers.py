"""Jobs that were claimed with the head of their lock: each waits in this worker until the one before it has ended.

Nobody else can run them meanwhile, so to claim them takes no work from others. Two threads may take them at once, the event
loop and the loop's watch: each job goes to one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from adjourn._domain.claimed import ClaimedJob


class Followers:
    """The jobs that wait for the ones before them in their locks."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[float, deque[ClaimedJob]]] = {}
        """By the id of the job before them: since when they wait for that one, and the jobs in their order."""

    def __bool__(self) -> bool:
        return bool(self._runs)

    def __len__(self) -> int:
        return sum(len(jobs) for _, jobs in tuple(self._runs.values()))

    def __iter__(self) -> Iterator[ClaimedJob]:
        """Go through all of them. May be called from any thread."""
        for _, jobs in tuple(self._runs.values()):
            yield from tuple(jobs)

    def split(self, jobs: Iterable[ClaimedJob], now: float) -> list[ClaimedJob]:
        """Keep those of the jobs of one claim, best first, that are not the first of their lock; return the others."""
        first: list[ClaimedJob] = []
        heads: dict[str, int] = {}
        for job in jobs:
            if job.lock is None:
                first.append(job)
            elif (head := heads.setdefault(job.lock, job.id)) == job.id:
                first.append(job)
                self._runs.pop(job.id, None)  # of an earlier claim, which this worker has lost
            else:
                self._runs.setdefault(head, (now, deque()))[1].append(job)
        return first

    def after(self, job: ClaimedJob) -> ClaimedJob | None:
        """Take the one after a job that has ended, if there is one."""
        _, jobs = self._runs.pop(job.id, (0.0, None))
        if not jobs:
            return None
        found = jobs.popleft()
        if jobs:
            self._runs[found.id] = time.monotonic(), jobs
        return found

    def take_behind(self, job: ClaimedJob) -> Iterable[ClaimedJob]:
        """Take all that wait for a job, because that is to run again before them."""
        return self._runs.pop(job.id, (0.0, ()))[1]

    def take_older(self, before: float) -> list[ClaimedJob]:
        """Take those that have waited for the job before them since then, or for longer."""
        found: list[ClaimedJob] = []
        for job_id, (since, _) in tuple(self._runs.items()):
            if since > before:  # they are in the order of their times
                break
            found += self._runs.pop(job_id, (0.0, ()))[1]
        return found

    def clear(self) -> None:
        """Forget them, because they belong to other workers now."""
        self._runs.clear()
