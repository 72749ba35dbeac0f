"""The jobs of one worker: those that run in its slots, and those that it has claimed ahead and not begun."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import attrs

from adjourn._domain.claimed import ClaimedJob
from adjourn._domain.outcomes import Claim, Ended, HandedBack, Outcome, Unknown
from adjourn._domain.protocols import WorkerLike
from adjourn.worker.apart import Apart
from adjourn.worker.buffer import STALE_BUFFER, Buffer
from adjourn.worker.executor import Executor
from adjourn.worker.lease import Lease
from adjourn.worker.options import Options

LONGEST_BUFFERED = 0.02
"""The most seconds of work to claim in advance: a job in the buffer waits while other workers may be idle."""
LARGEST_BUFFER = 100
"""The most jobs to have by that rule."""
SHORT_BUFFERED = 0.008
"""Seconds of work to claim in advance in any case, for as many slots as there may be: the worker does it while it waits for the
database."""
LARGEST_SHORT_BUFFER = 300
"""The most jobs to claim in advance by that rule."""


@attrs.frozen
class Room:
    """What to claim in one round trip.

    Attributes
    ----------
    limit
        How many jobs.
    slots
        How many jobs may run at once with them.
    batches
        How many jobs one call takes of tasks that take several, by their names, as JSON; None if there are no such tasks.
    """

    limit: int
    slots: int
    batches: str | None


class Slots:
    """The jobs of one worker.

    Parameters
    ----------
    worker
        The worker, for its app and options.
    lease
        How long the worker's jobs are its own.
    on_end
        Called with each outcome.
    on_room
        Called when there may be room for another job.
    on_stuck
        Called when all slots have been lost for too long, with the seconds.
    """

    def __init__(
        self,
        worker: WorkerLike[Options],
        lease: Lease,
        on_end: Callable[[Outcome], object],
        on_room: Callable[[], object],
        on_stuck: Callable[[float], object],
    ) -> None:
        self._concurrency = worker.options.concurrency
        # How many more jobs may begin here, if that has a limit.
        self._may_begin = worker.options.max_jobs
        self._store = on_end
        self._on_room = on_room
        self.executor: Executor = Executor(worker, self._on_end, lease, on_room, on_stuck)
        self.buffer: Buffer = Buffer(worker.app.tasks, self._start)
        """The jobs that were claimed ahead."""
        self.apart: Apart = Apart()
        """Whether to claim jobs that run apart from others."""
        self.jobs_ended: asyncio.Event = asyncio.Event()
        """Set when this worker is stopping, and no job runs any more."""
        self.is_stopping: bool = False
        """Whether no further job is started."""
        self._is_starting = False

    def __len__(self) -> int:
        return len(self.executor) + len(self.buffer) + bool(self.buffer.gathering)

    @property
    def claims(self) -> set[Claim]:
        """The claims of these jobs. May be called from any thread."""
        return self.executor.claims | self.buffer.claims

    @property
    def is_ending(self) -> bool:
        """Whether no further job is claimed: this worker is stopping, or has begun as many as it may."""
        return self.is_stopping or (self._may_begin is not None and self._may_begin <= 0)

    def room(self, now: float) -> Room:
        """Return how many jobs to claim: those that can run at once, and a few that can run soon after."""
        limit, gathering = self._free(now), self.buffer.gathering
        if self._may_begin is None:
            return Room(limit, self._concurrency, gathering.sizes)
        left = max(0, self._may_begin - len(self.buffer.claims))
        limit, slots = min(limit, left), min(self._concurrency, len(self) + left)
        if not limit or gathering.sizes is None:
            return Room(limit, slots, gathering.sizes)
        # Each of them may bring as many as one call takes.
        limit = max(1, min(limit, left // gathering.largest))
        return Room(limit, slots, gathering.sizes_up_to(left // limit))

    def _free(self, now: float) -> int:
        if self.is_stopping:
            return 0
        if (room := self.apart.room(self._concurrency, len(self), now)) is not None:
            return room
        ahead = jobs_ahead(self._concurrency, self.executor.mean_duration)
        ahead = max(0, ahead - len(self.buffer.followers))
        held = self.executor.slots_held + len(self.buffer)
        if self.buffer.has_locks:
            # Behind the head of a lock one job ends after the other, so there is no half to run meanwhile.
            return max(0, self._concurrency + ahead - held)
        return room_for(self._concurrency, ahead, held)

    @property
    def most_followers(self) -> int:
        """How many jobs behind the head of a lock to claim with it. They run one after the other."""
        if self._may_begin is not None:
            return 0
        return jobs_ahead(1, self.executor.mean_duration) if self.buffer.has_locks else 0

    def take(self, jobs: Sequence[ClaimedJob], now: float) -> None:
        """Take jobs that were claimed, best first: begin those for which there are slots, and keep the others."""
        self.buffer.extend(jobs, now)
        if self._may_begin is not None and self.buffer.gathering and len(self.buffer.claims) >= self._may_begin:
            self.buffer.gathering.wait_no_longer()  # no more are claimed
        self._start()

    def not_begun(self, now: float) -> list[HandedBack]:
        """Take the jobs that have waited for too long, or wait while this worker is stopping, to be handed back."""
        buffer = self.buffer
        if not buffer.is_stale(now) and not (self.is_stopping and (buffer or buffer.followers or buffer.gathering)):
            return list(map(HandedBack.of, buffer.followers.take_older(now - STALE_BUFFER)))
        self.executor.forget_durations()
        return list(map(HandedBack.of, self.buffer.take_all()))

    def start_no_more(self) -> None:
        """Start no further job, even if it has been claimed. May be called from any thread."""
        self.is_stopping = self.executor.halt.is_set = True

    def stop(self) -> None:
        """Start no further job, and say when the running jobs have ended."""
        self.start_no_more()
        if not len(self.executor):
            self.jobs_ended.set()

    def give_up(self) -> None:
        """Give up all jobs, because they belong to other workers now."""
        self.executor.abandon()
        self.buffer.clear()
        self.apart.forget()
        if self.is_stopping:
            self.jobs_ended.set()

    def close(self) -> list[HandedBack]:
        """Take all jobs, to be handed back, and let the threads end."""
        self.executor.end_overdue()
        left = [HandedBack.of(job) for job in (*self.executor.abandon(), *self.buffer.take_all())]
        self.executor.close()
        return left

    def _start(self) -> None:
        """Start jobs of the buffer while there are slots."""
        if self._is_starting:
            return  # a job has ended at once, and the call that has started it goes on
        self._is_starting = True
        executor, buffer, slots = self.executor, self.buffer, self._concurrency
        try:
            while not self.is_stopping and executor.slots_held < slots and (job := buffer.take()) is not None:
                if self._may_begin is not None:
                    self._may_begin -= 1 + len(job.companions)
                    executor.runs_last = self._may_begin <= 0
                executor.start(job)
        finally:
            self._is_starting = False

    def _on_end(self, job: ClaimedJob, outcome: Outcome | None) -> None:
        if outcome is not None:
            self._store(outcome)
        if self._may_begin is not None and isinstance(outcome, HandedBack | Unknown):
            self._may_begin += 1  # it has not run
            self.executor.runs_last = self._may_begin <= 0
        if self.buffer.followers:
            if outcome is None or isinstance(outcome, Ended):
                self.buffer.follow(job)
            else:  # it comes back to its place, before those behind it
                for follower in self.buffer.followers.take_behind(job):
                    self._store(HandedBack.of(follower))
        if self.buffer:
            self._start()
        if self.is_stopping and not len(self.executor):
            self.jobs_ended.set()
        self._on_room()


def jobs_ahead(slots: int, seconds: float) -> int:
    """Return how many jobs to claim beyond those that can run at once.

    Parameters
    ----------
    slots
        How many jobs can run at once.
    seconds
        How long one of them takes.
    """
    rate = slots / max(seconds, 1e-6)
    return max(
        min(int(LONGEST_BUFFERED * rate), LARGEST_BUFFER - slots),
        min(int(SHORT_BUFFERED * rate), LARGEST_SHORT_BUFFER),
    )


def room_for(slots: int, ahead: int, held: int) -> int:
    """Return how many jobs to claim in one round trip.

    It is at most half of all, beyond those that can begin at once: the other half runs meanwhile, and neither the worker nor the
    server waits for the other one.

    Parameters
    ----------
    slots
        How many jobs can run at once.
    ahead
        How many to have beyond those.
    held
        How many the worker has.
    """
    most = slots + ahead
    return max(0, slots - held, min(most - held, -(-most // 2)))
