"""What the pages on guarantees promise of a queue, in plain Python and without a database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Retried

WAITING, RUNNING = "todo", "doing"
LIVES = 5
"""A job fails when so many workers have died while they ran it."""
SUSPICIOUS = 2
"""After so many deaths of its workers a job runs apart from others."""


@dataclasses.dataclass
class Promised:
    """A job as it must be found."""

    id: int
    queue: str
    priority: int
    lock: str | None
    queueing_lock: str | None
    due: bool
    status: str = WAITING
    worker: int | None = None
    claim: int = 0
    attempts: int = 0
    errors: int = 0
    abort_requested: bool = False
    never_claimed: bool = True
    """Only then it keeps its queueing lock from others."""
    has_begun: bool = False
    """Of a running job: whether its worker had room for it, or claimed it in advance."""
    losses: int = 0
    """How many workers have died while they ran it."""
    deaths: int = 0
    """How many workers that had it have died."""
    result: str | None = None
    """What its run has returned, as JSON."""
    waited: bool = False
    """Whether somebody waits for its end."""

    @property
    def rank(self) -> tuple[int, int]:
        """The place in the order: the smaller, the sooner."""
        return -self.priority, self.id

    @property
    def is_ready(self) -> bool:
        return self.status == WAITING and self.due

    @property
    def is_suspicious(self) -> bool:
        return self.deaths >= SUSPICIOUS

    def put_back(self) -> None:
        self.status, self.worker, self.has_begun = WAITING, None, False

    def fail_an_attempt(self) -> None:
        self.attempts += 1
        self.errors = min(self.errors + 1, 10)


@dataclasses.dataclass
class RegisteredWorker:
    """What the database knows of a worker."""

    is_silent: bool = False
    is_dead: bool = False


class Queue:
    """The jobs, the workers, and what may become of them."""

    def __init__(self) -> None:
        self.jobs: dict[int, Promised] = {}
        self.workers: dict[int, RegisteredWorker] = {}
        self.kept: set[int] = set()
        """Ids of jobs whose rows a transaction of a program keeps."""
        self.unsettled: set[str] = set()
        """Locks of which something has changed since jobs were last placed: the order holds from then on."""
        self.returned: dict[str, int] = {}
        """The job that was the last to run with a lock, and has come back to its place."""
        self.keys: dict[str, int] = {}
        """The last job of each unique key."""
        self.kept_keys: set[str] = set()
        """Keys of jobs that count even if they have ended."""
        self.claims: set[tuple[int, int]] = set()
        """Every claim that was ever handed out."""
        self.told: set[int] = set()
        """Ids of jobs that have ended and that somebody waited for, until that was checked."""

    # What programs do

    def defers(self, job: Promised) -> None:
        assert job.id not in self.jobs, "an id was given twice"
        assert not self.is_taken(job.queueing_lock), "a queueing lock was given twice"
        self.jobs[job.id] = job
        self.unsettle(job.lock)

    def is_taken(self, queueing_lock: str | None) -> bool:
        """Whether a job with this queueing lock waits for its first run."""
        return queueing_lock is not None and any(
            job.queueing_lock == queueing_lock and job.status == WAITING and job.never_claimed
            for job in self.jobs.values()
        )

    def defers_unique(self, job: Promised, key: str, over: Iterable[str], on_conflict: str) -> tuple[str, int | None]:
        """A job comes that may be there already; return what must become of it, and the id of the one that is there."""
        over = set(over)
        there = self.keys.get(key)
        found = None if there is None else self.jobs.get(there)
        status = found.status if found else "succeeded" if key in self.kept_keys else "gone"
        counts = there is not None and status in over
        if not counts:
            self.defers(job)
            self.keys[key] = job.id
            self.kept_keys.discard(key)
        if over - {WAITING, RUNNING} and not (counts and on_conflict == "raise"):
            self.kept_keys.add(key)
        if not counts:
            return "stored", job.id
        if on_conflict == "raise":
            return "refused", there
        if on_conflict == "skip" or found is None or status != WAITING:
            return "exists", there
        self.unsettle(found.lock)
        found.priority, found.lock, found.due = job.priority, job.lock, job.due
        found.losses = found.deaths = 0
        self.unsettle(found.lock)
        return "replaced", there

    def forgets(self, job_id: int) -> None:
        """A job is deleted by hand, and does not count any more."""
        self.kept_keys -= {key for key, last in self.keys.items() if last == job_id}

    def cancels(self, job_id: int, *, abort: bool, delete: bool) -> bool:
        """Cancel or abort a job; return whether there was anything to do."""
        job = self.jobs.get(job_id)
        if job is None or job.status not in (WAITING, RUNNING):
            return False
        if job.status == RUNNING:
            job.abort_requested |= abort
            return abort
        self.unsettle(job.lock)
        self.ends(job, "cancelled")
        if delete:
            self.forgets(job_id)
            del self.jobs[job_id]
        return True

    def waits_for(self, job_id: int) -> str:
        """Somebody waits for the end of a job; return what is known of it."""
        job = self.jobs.get(job_id)
        if job is None or job.status not in (WAITING, RUNNING):
            return "ended"
        if job_id in self.kept and not job.waited:
            return "held"
        job.waited = True
        return "marked"

    def ends(self, job: Promised, status: str) -> None:
        """A job has ended, and whoever waits for it is told."""
        job.status = status
        if job.waited:
            self.told.add(job.id)
            job.waited = False

    def runs_again(self, job_id: int, *, delayed: bool, priority: int | None, lock: str | None) -> bool:
        """Retry a job by hand; return whether there is one."""
        job = self.jobs.get(job_id)
        if job is None:
            return False
        if job.status != WAITING:
            job.queueing_lock = None
            job.attempts += job.status == RUNNING
        self.unsettle(job.lock)
        job.put_back()
        job.due, job.abort_requested, job.result = not delayed, False, None
        job.losses = job.deaths = 0
        job.priority = job.priority if priority is None else priority
        job.lock = job.lock if lock is None else lock
        self.unsettle(job.lock)
        return True

    def time_passes(self) -> None:
        """All that was scheduled is due."""
        for job in self.jobs.values():
            if job.status == WAITING and not job.due:
                job.due = True
                self.unsettle(job.lock)

    # What workers do

    def registers(self, worker: int) -> None:
        self.workers[worker] = RegisteredWorker()

    def is_alive(self, worker: int) -> bool:
        found = self.workers.get(worker)
        return found is not None and not found.is_dead and not found.is_silent

    def holds(self, worker: int, job_id: int, claim: int | None = None) -> bool:
        """Whether a worker holds a job, by this claim."""
        job = self.jobs.get(job_id)
        return (
            job is not None and job.status == RUNNING and job.worker == worker and (claim is None or job.claim == claim)
        )

    def held_by(self, worker: int) -> set[int]:
        return {job.id for job in self.jobs.values() if self.holds(worker, job.id)}

    def hears(self, worker: int, outcomes: Iterable[Outcome]) -> tuple[set[int], set[int]]:
        """Outcomes come in. Return which must be refused, and which must wait for a transaction of a program."""
        refused: set[int] = set()
        waiting: set[int] = set()
        for outcome in outcomes:
            if not self.holds(worker, outcome.id, outcome.claim):
                refused.add(outcome.id)
            elif outcome.id in self.kept:
                waiting.add(outcome.id)
            else:
                self.stores(self.jobs[outcome.id], outcome)
        return refused, waiting

    def stores(self, job: Promised, outcome: Outcome) -> None:
        if isinstance(outcome, Ended):
            job.attempts += 1
            job.errors = min(job.errors + (outcome.error is not None), 10)
            job.result = None if outcome.result is None else outcome.result.text
            if outcome.is_deleted and not job.waited:
                del self.jobs[job.id]
            self.ends(job, outcome.status)
        elif isinstance(outcome, HandedBack):
            job.put_back()
            self.returns(job)
        else:
            assert isinstance(outcome, Retried)
            job.put_back()
            job.fail_an_attempt()
            job.queueing_lock = None
            job.losses = job.deaths = 0
            job.due = outcome.retry_in is None
            job.priority = job.priority if outcome.priority is None else outcome.priority
            if outcome.lock is not None and outcome.lock != job.lock:
                job.lock = outcome.lock
                self.unsettle(job.lock)
            elif job.due:
                self.returns(job)

    def claims_jobs(
        self, worker: int, limit: int, queues: list[str] | None, room: int, ids: list[int], *, is_apart: bool
    ) -> None:
        """A claim has brought these jobs, best first: check that they may run now, and that none was passed over."""
        assert len(ids) == len(set(ids)) <= limit
        assert not ids or self.is_alive(worker), "a worker that was declared dead got a job"
        got = [self.jobs[job_id] for job_id in ids]
        assert [job.id for job in sorted(got, key=lambda job: job.rank)] == ids
        due_before = [job for job in self.jobs.values() if job.is_ready and job.id not in self.kept]
        for job in got:
            assert job.is_ready, f"job {job.id} is {job.status}, or not due"
            assert job.id not in self.kept
            assert queues is None or job.queue in queues
            assert not is_apart or job.is_suspicious, "a job that harmed nobody was taken for one that kills its worker"
            assert is_apart or not job.is_suspicious, "a job that kills its workers ran beside others"
            self.check_turn(job, due_before)
        if not is_apart and self.is_alive(worker):
            self.check_nothing_was_passed_over(got, limit, queues, due_before)
        for place, job in enumerate(got):
            job.status, job.worker, job.never_claimed, job.has_begun = RUNNING, worker, False, place < room
            job.claim += 1
            assert (job.id, job.claim) not in self.claims
            self.claims.add((job.id, job.claim))
            if job.lock is not None:
                self.returned.pop(job.lock, None)
        running = [job.lock for job in self.jobs.values() if job.status == RUNNING and job.lock is not None]
        assert len(running) == len(set(running)), "two jobs of one lock run"

    def check_turn(self, job: Promised, ready: list[Promised]) -> None:
        """A job with a lock runs if no other of it does, and no better one waits."""
        if job.lock is None or job.lock in self.unsettled or self.returned.get(job.lock) == job.id:
            return
        better = [other.id for other in ready if other.lock == job.lock and other.rank < job.rank]
        # What people suspect of killing workers keeps its lock; it was the last to run.
        assert not better, f"job {job.id} ran before {better} of its lock"

    def check_nothing_was_passed_over(
        self, got: list[Promised], limit: int, queues: list[str] | None, ready: list[Promised]
    ) -> None:
        """Whatever could run, and was not claimed, comes after all that was claimed."""
        locks = {job.lock for job in self.jobs.values() if job.status == RUNNING} | self.unsettled
        heads: dict[str, Promised] = {}
        for job in sorted(ready, key=lambda job: job.rank):
            if job.lock is not None:
                heads.setdefault(job.lock, job)
        for job in ready:
            is_next = job.lock is None or (
                job.lock not in locks and heads[job.lock] is job and self.keeper(job.lock) in (None, job.id)
            )
            is_mine = queues is None or job.queue in queues
            if is_next and is_mine and not job.is_suspicious and job not in got:
                assert len(got) == limit, f"job {job.id} can run, and was not claimed"
                assert all(each.rank < job.rank for each in got), f"job {job.id} was passed over"

    def unknown_to(self, worker: int, known: dict[int, int]) -> set[int]:
        """What a worker has by a claim that it does not know."""
        return {job_id for job_id in self.held_by(worker) if known.get(job_id) != self.jobs[job_id].claim}

    def disowns(self, worker: int, known: dict[int, int]) -> set[int]:
        """What a worker has claimed without knowing goes back."""
        lost = self.unknown_to(worker, known) - self.kept
        for job_id in lost:
            self.jobs[job_id].put_back()
            self.returns(self.jobs[job_id])
        return lost

    def heartbeat(self, worker: int) -> bool:
        found = self.workers.get(worker)
        if found is None or found.is_dead:
            return False
        found.is_silent = False
        return True

    def falls_silent(self, worker: int) -> None:
        if worker in self.workers:
            self.workers[worker].is_silent = True

    def unregisters(self, worker: int) -> None:
        """A worker leaves; if it still has jobs, it stays, as a dead one, until they are rescued."""
        if worker in self.workers:
            self.workers[worker].is_dead = True
            if not self.held_by(worker):
                del self.workers[worker]

    def rescues(self) -> tuple[int, int]:
        """The jobs of dead workers come back, and those that kill them fail; return how many."""
        rescued = failed = 0
        for worker, state in list(self.workers.items()):
            if not (state.is_dead or state.is_silent):
                continue
            state.is_dead = True
            for job_id in self.held_by(worker) - self.kept:
                job = self.jobs[job_id]
                job.deaths += 1
                if job.has_begun:
                    job.losses += 1
                    job.attempts += 1
                if job.losses >= LIVES and job.has_begun:
                    self.ends(job, "failed")
                    job.errors = min(job.errors + 1, 10)
                    failed += 1
                else:
                    job.put_back()
                    self.returns(job)
                    rescued += 1
            if not self.held_by(worker):
                del self.workers[worker]
        return rescued, failed

    # The order of locks

    def returns(self, job: Promised) -> None:
        """A job comes back to the place that it had in its lock."""
        if job.lock is not None:
            self.returned[job.lock] = job.id

    def keeper(self, lock: str) -> int | None:
        """The job that has come back to its place in a lock, and may still be there."""
        job = self.jobs.get(self.returned.get(lock, 0))
        return job.id if job is not None and job.is_ready and job.lock == lock else None

    def unsettle(self, lock: str | None) -> None:
        if lock is not None:
            self.unsettled.add(lock)

    def is_placed(self) -> None:
        """Somebody has placed all jobs: the order holds, but for what a program keeps."""
        self.unsettled = {lock for job_id in self.kept if job_id in self.jobs and (lock := self.jobs[job_id].lock)}
