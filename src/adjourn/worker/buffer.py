"""Jobs that a worker has claimed and not begun. Its event loop takes them, or the loop's watch does while it is blocked."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.outcomes import Claim
from adjourn.worker.followers import Followers

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
    """Jobs that were claimed ahead, best first. Two threads may take them at once: each job goes to one."""

    def __init__(self) -> None:
        self._jobs: deque[ClaimedJob] = deque()
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
        return {(job.id, job.claim) for job in (*tuple(self._jobs), *self.followers)}

    def is_stale(self, now: float) -> bool:
        """Tell whether they wait for too long."""
        return bool(self._jobs) and now - self._since > STALE_BUFFER

    def extend(self, jobs: Sequence[ClaimedJob], now: float) -> None:
        """Add the jobs of one claim, best first."""
        if not self._jobs:
            self._since = now
        if jobs:
            self.has_locks = any(job.lock is not None for job in jobs)
        self._jobs.extend(self.followers.split(jobs, now) if self.has_locks else jobs)

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
        for job in (*tuple(self._jobs), *self.followers):
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
                yield self._jobs.popleft()
        yield from self.followers.take_older(math.inf)

    def clear(self) -> None:
        """Forget them, because they belong to other workers now."""
        self._jobs.clear()
        self.followers.clear()
