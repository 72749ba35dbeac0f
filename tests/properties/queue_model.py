"""What the pages on guarantees promise of a queue, in plain Python and without a database."""

from __future__ import annotations

import dataclasses
import itertools
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
    is_head: bool = False
    """Of a running job with a lock: whether it is the head of its lock, and not one of those behind it in its worker."""
    waited: bool = False
    """Whether somebody waits for its end."""
    is_special: bool = False
    """Whether its end has had consequences for others: it follows no other job."""

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
        self.status, self.worker, self.has_begun, self.is_head = WAITING, None, False, False

    def fail_an_attempt(self) -> None:
        self.attempts += 1
        self.errors = min(self.errors + 1, 10)


@dataclasses.dataclass
class RegisteredWorker:
    """What the database knows of a worker."""

    is_silent: bool = False
    said: set[tuple[int, int]] = dataclasses.field(default_factory=set)
    is_dead: bool = False


class Queue:
    """The jobs, the workers, and what may become of them."""

    def __init__(self) -> None:
        self.jobs: dict[int, Promised] = {}
        self.workers: dict[int, RegisteredWorker] = {}
        self.kept: set[int] = set()
        """Ids of jobs whose rows a transaction of a program keeps."""
        self.stops: set[int] = set()
        """Those of them that had their place in their lock."""
        self.unsettled: set[str] = set()
        """Locks of which something has changed since jobs were last placed: the order holds from then on."""
        self.passed: set[int] = set()
        """Ids of jobs that a transaction has kept and not changed: while it did, the next of their lock may have been chosen."""
        self.returned: dict[str, int] = {}
        """The job that was the last to run with a lock, and has come back to its place."""
        self.keys: dict[str, int] = {}
        """The last job of each unique key."""
        self.kept_keys: set[str] = set()
        """Keys of jobs that count even if they have ended."""
        self.claims: set[tuple[int, int]] = set()
        """Every claim that was ever handed out."""
        self.freed: set[str] = set()
        """Locks whose head has just ended."""
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

    def age(self, ready: list[Promised], *, by_queue: bool) -> int:
        """These jobs have waited for long; return how many of them get a higher priority."""
        raised = 0
        for queue in {job.queue for job in ready} if by_queue else {None}:
            here = [job for job in ready if queue in (None, job.queue)]
            top = max((job.priority for job in here), default=0)
            for job in here:
                assert job.is_ready, f"job {job.id} does not wait for a worker"
                if job.priority < top and job.id not in self.kept:
                    job.priority = top
                    raised += 1
        return raised

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
        job.waited = job.is_special = True
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
        if job.status not in (WAITING, RUNNING):
            job.is_special = False
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
        told = list(outcomes)
        refused = {each.id for each in told if not self.holds(worker, each.id, each.claim)}
        waiting = {each.id for each in told if each.id in self.kept} - refused
        heard = [each for each in told if each.id not in refused | waiting]
        for outcome in heard:
            if isinstance(outcome, Ended):
                self.stores(self.jobs[outcome.id], outcome)
        self.choose_heads()
        back = [each for each in heard if not isinstance(each, Ended)]
        for outcome in back:
            job = self.jobs[outcome.id]
            others = [each for each in self.followers(job) if each.id not in {told.id for told in back}]
            if any(each.id in self.kept for each in others):
                waiting.add(job.id)
                continue
            for each in others:
                each.put_back()
            self.stores(job, outcome)
        return refused, waiting

    def stores(self, job: Promised, outcome: Outcome) -> None:
        if isinstance(outcome, Ended):
            job.attempts += 1
            job.errors = min(job.errors + (outcome.error is not None), 10)
            if job.is_head:
                self.freed.add(job.lock or "")
            job.is_head = False
            job.result = None if outcome.result is None else outcome.result.text
            if outcome.is_deleted and not job.waited:
                del self.jobs[job.id]
            self.ends(job, outcome.status)
        elif isinstance(outcome, HandedBack):
            self.returns(job)
            job.put_back()
        else:
            assert isinstance(outcome, Retried)
            was_head = job.is_head
            job.put_back()
            job.fail_an_attempt()
            job.queueing_lock = None
            job.losses = job.deaths = 0
            job.due = outcome.retry_in is None
            job.priority = job.priority if outcome.priority is None else outcome.priority
            if outcome.lock is not None and outcome.lock != job.lock:
                job.lock = outcome.lock
                self.unsettle(job.lock)
            elif job.due and was_head and job.lock is not None:
                self.returned[job.lock] = job.id

    def completes(self, job_id: int) -> None:
        """A run has ended its job in a transaction of its own, which was committed."""
        job = self.jobs[job_id]
        job.attempts += 1
        self.ends(job, "succeeded")
        self.unsettle(job.lock)

    def claims_jobs(
        self,
        worker: int,
        limit: int,
        queues: list[str] | None,
        room: int,
        ids: list[int],
        *,
        follow: int,
        is_apart: bool,
    ) -> None:
        """A claim has brought these jobs, best first: check that they may run now, and that none was passed over."""
        assert len(ids) == len(set(ids))
        assert not ids or self.is_alive(worker), "a worker that was declared dead got a job"
        claimed = [self.jobs[job_id] for job_id in ids]
        assert [job.id for job in sorted(claimed, key=lambda job: job.rank)] == ids
        due_before = [job for job in self.jobs.values() if job.is_ready and job.id not in self.kept]
        runs: dict[str, list[Promised]] = {}
        for job in claimed:
            if job.lock is not None:
                runs.setdefault(job.lock, []).append(job)
        for run in runs.values():
            self.check_run(run, follow, queues, due_before)
        got = [job for job in claimed if job.lock is None or runs[job.lock][0] is job]
        assert len(got) <= limit or is_apart
        for job in got:
            assert job.is_ready, f"job {job.id} is {job.status}, or not due"
            assert job.id not in self.kept
            assert queues is None or job.queue in queues
            assert not is_apart or job.is_suspicious, "a job that harmed nobody was taken for one that kills its worker"
            assert is_apart or not job.is_suspicious, "a job that kills its workers ran beside others"
            self.check_turn(job, due_before)
            self.passed.discard(job.id)
        if not is_apart and self.is_alive(worker):
            self.check_nothing_was_passed_over(got, limit, queues, due_before)
        beginning = got[: max(room, 0)]
        for job in claimed:
            job.status, job.worker, job.never_claimed, job.has_begun = RUNNING, worker, False, job in beginning
            job.is_head = job.lock is not None and job in got
            job.claim += 1
            assert (job.id, job.claim) not in self.claims
            self.claims.add((job.id, job.claim))
            if job.lock is not None:
                self.returned.pop(job.lock, None)

    def check_run(self, run: list[Promised], follow: int, queues: list[str] | None, ready: list[Promised]) -> None:
        """Of one lock these jobs were claimed: nobody else has one, and behind the head are those that come next."""
        head, *followers = run
        assert not self.running(head.lock), "two workers have jobs of one lock"
        for job in followers:
            assert job.is_ready
            assert not job.deaths, "a job that a worker has died with is no follower"
            assert queues is None or job.queue in queues
            stops = [each for each in self.stops if self.jobs[each].lock == head.lock]
            assert all(job.rank < self.jobs[each].rank for each in stops), "a job that was locked was passed over"
        if head.lock not in self.unsettled:
            others = sorted(
                (job for job in ready if job.lock == head.lock and job is not head), key=lambda job: job.rank
            )
            fit = itertools.takewhile(
                lambda job: (
                    job.rank > head.rank
                    and not job.deaths
                    and not job.is_special
                    and (queues is None or job.queue in queues)
                ),
                others,
            )
            assert followers == ([] if head.deaths else list(fit)[:follow]), "a run is not what comes next"

    def check_turn(self, job: Promised, ready: list[Promised]) -> None:
        """A job with a lock runs if no other of it does, and no better one waits."""
        if job.lock is None or job.lock in self.unsettled or self.returned.get(job.lock) == job.id:
            return
        better = [
            other.id
            for other in ready
            if other.lock == job.lock and other.rank < job.rank and other.id not in self.passed
        ]
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
            is_mine = (queues is None or job.queue in queues) and job.id not in self.passed
            if is_next and is_mine and not job.is_suspicious and job not in got:
                assert len(got) == limit, f"job {job.id} can run, and was not claimed"
                assert all(each.rank < job.rank for each in got), f"job {job.id} was passed over"

    def unknown_to(self, worker: int, known: dict[int, int]) -> set[int]:
        """What a worker has by a claim that it does not know."""
        return {job_id for job_id in self.held_by(worker) if known.get(job_id) != self.jobs[job_id].claim}

    def disowns(self, worker: int, known: dict[int, int]) -> set[int]:
        """What a worker has claimed without knowing goes back."""
        lost = self.unknown_to(worker, known) - self.kept
        lost = {job_id for job_id in lost if all(each.id in lost for each in self.followers(self.jobs[job_id]))}
        for job_id in lost:
            self.returns(self.jobs[job_id])
            self.jobs[job_id].put_back()
        return lost

    def heartbeat(self, worker: int, said: set[tuple[int, int]]) -> bool:
        found = self.workers.get(worker)
        if found is None or found.is_dead:
            return False
        found.is_silent, found.said = False, said
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
            held = self.held_by(worker) - self.kept
            held = {job_id for job_id in held if all(each.id in held for each in self.followers(self.jobs[job_id]))}
            for job_id in held:
                job = self.jobs[job_id]
                job.deaths += 1
                has_begun = job.has_begun or (job_id, job.claim) in state.said
                if has_begun:
                    job.losses += 1
                    job.attempts += 1
                    job.errors = min(job.errors + 1, 10)
                if job.losses >= LIVES and has_begun:
                    self.ends(job, "failed")
                    failed += 1
                else:
                    self.returns(job)
                    job.put_back()
                    rescued += 1
            if not self.held_by(worker):
                del self.workers[worker]
        return rescued, failed

    # The order of locks

    def returns(self, job: Promised) -> None:
        """A job comes back to the place that it had in its lock. The head's is before all others."""
        if job.lock is not None and job.is_head:
            self.returned[job.lock] = job.id

    def running(self, lock: str | None) -> list[Promised]:
        """The jobs of a lock that are claimed, best first."""
        found = (job for job in self.jobs.values() if job.status == RUNNING and job.lock == lock is not None)
        return sorted(found, key=lambda job: job.rank)

    def followers(self, job: Promised) -> list[Promised]:
        """The jobs that were claimed with the head of a lock."""
        return [other for other in self.running(job.lock) if job.is_head and other is not job]

    def choose_heads(self, locks: Iterable[str] | None = None) -> None:
        """Of those that were claimed with a head that is gone, the next is the head; the placer sees to it if it is locked."""
        for lock in self.freed if locks is None else locks:
            running = self.running(lock)
            if running and not any(job.is_head for job in running) and running[0].id not in self.kept:
                running[0].is_head = True
        self.freed = set()

    def keeper(self, lock: str) -> int | None:
        """The job that has come back to its place in a lock, and may still be there."""
        job = self.jobs.get(self.returned.get(lock, 0))
        return job.id if job is not None and job.is_ready and job.lock == lock else None

    def unsettle(self, lock: str | None) -> None:
        if lock is not None:
            self.unsettled.add(lock)

    def notes_are_read(self) -> None:
        """Somebody has placed jobs: locks that had no head have one."""
        self.choose_heads({job.lock for job in self.jobs.values() if job.lock is not None})

    def is_placed(self) -> None:
        """Somebody has placed all jobs: the order holds, but for what a program keeps."""
        self.unsettled = {lock for job_id in self.kept if job_id in self.jobs and (lock := self.jobs[job_id].lock)}
