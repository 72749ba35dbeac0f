"""Jobs that a worker has claimed and not begun. Its event loop takes them, or the loop's watch does while it is blocked."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.outcomes import Claim
from adjourn._domain.protocols import TaskLike
from adjourn.worker.followers import Followers
from adjourn.worker.gathering import Gathering

STALE_BUFFER = 0.25
"""Seconds after which jobs that still wait in the buffer, behind a long one, are handed back."""


class Flight:
    """A round trip that claims jobs. Its answer belongs to the loop, or to the loop's watch: to whoever takes it first."""

    def __init__(self) -> None:
        self._taking = threading.Lock()

    def take(self) -> bool:
        """Take the jobs that it has claimed. Returns whether nobody had taken them before."""
        return self._taking.acquire(blocking=False)


class Buffer:
    """Jobs that were claimed ahead, best first. Two threads may take them at once: each job goes to one.

    Parameters
    ----------
    tasks
        The worker's tasks, by their names.
    on_ready
        Called when a job may begin that had waited for others.
    """

    def __init__(self, tasks: Mapping[str, TaskLike], on_ready: Callable[[], object]) -> None:
        self._jobs: deque[ClaimedJob] = deque()
        self._on_ready = on_ready
        self.gathering: Gathering = Gathering(tasks, self._add_call)
        """Those of batch tasks that wait for more. They do not count, and all of one call count as one."""
        self._since = 0.0
        self.followers: Followers = Followers()
        """Those that may not begin yet, because the job before them in their lock has not ended. They do not count."""
        self.has_locks: bool = False
        """Whether jobs with a lock were among those that were claimed last."""

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def claims(self) -> set[Claim]:
        """The claims of these jobs. May be called from any thread."""
        return {(job.id, job.claim) for job in self._all()}

    def is_stale(self, now: float) -> bool:
        """Tell whether they wait for too long."""
        return bool(self._jobs) and now - self._since > STALE_BUFFER

    def extend(self, jobs: Sequence[ClaimedJob], now: float) -> None:
        """Add the jobs of one claim, best first."""
        if not self._jobs:
            self._since = now
        if jobs:
            self.has_locks = any(job.lock is not None for job in jobs)
        if self.gathering.sizes is not None:
            jobs = self.gathering.split(jobs)
        self._jobs.extend(self.followers.split(jobs, now) if self.has_locks else jobs)

    def _all(self) -> Iterator[ClaimedJob]:
        for job in (*tuple(self._jobs), *self.followers, *self.gathering):
            yield job
            yield from job.companions

    def _add_call(self, job: ClaimedJob) -> None:
        if not self._jobs:
            self._since = time.monotonic()
        self._jobs.append(job)
        self._on_ready()

    def follow(self, job: ClaimedJob) -> None:
        """A job has ended, and the one behind it in its lock may begin, at its place among the others."""
        follower = self.followers.after(job)
        if follower is None:
            return
        if not self._jobs:
            self._since = time.monotonic()
        place = sum(other.order < follower.order for other in tuple(self._jobs))
        self._jobs.insert(place, follower)

    def abort(self, job_id: int) -> None:
        """Have a job end as soon as it begins, if it is here."""
        for job in self._all():
            if job.id == job_id:
                job.abort_requested = True

    def take(self) -> ClaimedJob | None:
        """Take the best job that may begin now; None if there is none."""
        try:
            job = self._jobs.popleft()
        except IndexError:
            return None
        self._since = time.monotonic()
        return job

    def take_all(self) -> Iterator[ClaimedJob]:
        """Take one job after the other."""
        with contextlib.suppress(IndexError):
            while True:
                job = self._jobs.popleft()
                yield job
                yield from job.companions
        yield from self.gathering.take_all()
        yield from self.followers.take_older(math.inf)

    def clear(self) -> None:
        """Forget them, because they belong to other workers now."""
        self._jobs.clear()
        self.followers.clear()
        self.gathering.clear()
