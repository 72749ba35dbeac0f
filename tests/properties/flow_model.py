"""What is promised of limits, rates, pauses, workflows, unique jobs, steps, events and terms, in plain Python and without a database."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator

from adjourn._domain.outcomes import Ended, HandedBack, Outcome, Retried, Suspended

WAITING, RUNNING, SUCCEEDED = "todo", "doing", "succeeded"
ALL_DONE, ANY_FAILED = 1, 2
SUSPICIOUS = 2
"""A job that so many workers had when they died runs apart from others."""

Place = tuple[str, str, str]
"""A limit by its scope and name, and the key there."""


@dataclasses.dataclass
class Numbers:
    """What a limit allows: so many jobs at once, and so many starts in each period."""

    concurrency: int | None = None
    rate: int | None = None


@dataclasses.dataclass
class Known:
    """A job as it must be found."""

    id: int
    task: str
    queue: str
    lock: str | None = None
    key: str | None = None
    """The key of its task's limit, which is named after the task."""
    due: bool = True
    awaits: str | None = None
    """The event that it waits for."""
    flow: int | None = None
    parents: set[int] = dataclasses.field(default_factory=set)
    heard: dict[int, bool | None] = dataclasses.field(default_factory=dict)
    """Which of its parents have ended, and whether they have succeeded; None for those that were not needed."""
    forgiven: set[int] = dataclasses.field(default_factory=set)
    """Which of its parents have failed, when somebody ran it by hand all the same."""
    is_forced: bool = False
    """It was run by hand when it waited for nobody, so that it runs whatever its rule says."""
    is_late: bool = False
    """It was added to a workflow that had been cancelled, and is to be cancelled, too."""
    run_if: int | None = None
    awaited: set[int] = dataclasses.field(default_factory=set)
    """The jobs that its run has said last to wait for, of those that had not ended."""
    noted: int | None = None
    """The claim of the run that has said so."""
    is_told: bool = True
    """Whether that run has ended, so that they know of it."""
    arrived: set[int] | None = None
    """Which of them have ended since, while it waits for them; None if it does not, or once it may go on."""
    has_begun: bool = False
    """It has waited in its run, so that its parents do not matter any more."""
    is_watched: bool = False
    """Somebody has asked for its end, so that it is kept."""
    cause: str | None = None
    """Why it was cancelled, if not by hand: ``jobs``, ``workflow`` or ``expiry``."""
    expires: str = ""
    """``later`` or ``now``, if it has a time after which it does not begin."""
    max_attempts: int | None = None
    attempts: int = 0
    is_batch: bool = False
    status: str = WAITING
    worker: int | None = None
    claim: int = 0
    deaths: int = 0
    unlimited: set[Place] = dataclasses.field(default_factory=set)
    """Limits that had no number when its run began, and do not count it."""
    steps: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """What its parents say: that it runs, is cancelled, or waits on."""
        if self.is_late:
            return "cancelled"
        if self.has_begun:
            return "runs" if self.arrived is None or self.arrived >= self.awaited else "waits"
        return "runs" if self.is_forced else self.judge(self.heard)

    def judge(self, heard: dict[int, bool | None]) -> str:
        """What its rule makes of the ends of its parents."""
        failed = False in heard.values()
        if self.run_if is None and failed:
            return "cancelled"
        if len(heard) < len(self.parents):
            return "waits"
        if self.run_if is None:
            return "cancelled" if None in heard.values() else "runs"
        return "cancelled" if self.parents and self.run_if == ANY_FAILED and not failed else "runs"

    @property
    def is_in_line(self) -> bool:
        """Whether it waits for nothing but a worker, a limit, a pause or its lock; it may have expired, and nobody has seen that yet."""
        return self.status == WAITING and self.due and self.awaits is None and self.verdict == "runs"

    @property
    def can_start(self) -> bool:
        """Whether it waits for nothing but a worker, a limit, a pause or its lock."""
        return self.is_in_line and self.expires != "now"


class Flow:
    """The jobs, and what may become of them."""

    def __init__(self, *, is_strict: bool) -> None:
        self.is_strict = is_strict
        """Whether a job that began without a limit counts for it, as in memory."""
        self.jobs: dict[int, Known] = {}
        self.limits: dict[tuple[str, str], Numbers] = {}
        self.starts: collections.Counter[Place] = collections.Counter()
        self.paused: set[tuple[str, str]] = set()
        self.cancelled_flows: set[int] = set()
        self.open_flows: set[int] = set()
        self.keys: dict[str, int] = {}
        self.sent: dict[str, str] = {}
        self.needless: set[int] = set()
        """Jobs that were cancelled because nothing had failed, so that they were not needed."""
        self.gone: set[int] = set()
        """Jobs that have ended and were deleted."""

    # What programs do

    def defers(self, job: Known) -> None:
        assert job.id not in self.jobs, "an id was given twice"
        self.jobs[job.id] = job
        for parent in job.parents:
            found = self.jobs[parent]
            if parent in self.gone or found.status not in (WAITING, RUNNING):
                job.heard[parent] = self.end_of(parent) if parent not in self.gone else False

    def defers_unique(self, key: str, policy: str) -> tuple[str, int | None]:
        """A job comes that may be there already; return what must become of it, and the id of the one that is there."""
        there = self.keys.get(key)
        found = None if there is None or there in self.gone else self.jobs[there]
        if found is None or found.status not in (WAITING, RUNNING):
            return "stored", None
        if policy == "raise":
            return "refused", there
        return ("replaced" if policy == "replace" and found.status == WAITING else "exists"), there

    def ends(self, job: Known, status: str, cause: str | None = None) -> None:
        """A job has ended, and those that wait for it hear of it: only the first time, unless they wait for it once more."""
        job.status, job.worker, job.awaits, job.cause = status, None, None, cause
        self.needless.discard(job.id)
        if cause == "jobs" and False not in job.heard.values():
            self.needless.add(job.id)
        if status == SUCCEEDED:
            job.steps = {}
        for child in self.jobs.values():
            if job.id in child.parents:
                child.heard.setdefault(job.id, self.end_of(job.id))
            if child.arrived is not None and job.id in child.awaited:
                child.arrived.add(job.id)

    def end_of(self, id_: int) -> bool | None:
        """Whether a job that has ended has succeeded; None if it was not needed."""
        return None if id_ in self.needless else self.jobs[id_].status == SUCCEEDED

    def runs_again(self, job: Known, *, due: bool) -> None:
        """A job that has not ended is retried by hand."""
        job.attempts += job.status == RUNNING
        job.status, job.worker, job.due, job.awaits, job.deaths = WAITING, None, due, None, 0
        job.expires = ""

    def revive(self, seeds: set[int], forced: set[int], *, due: bool = True, flow: int | None = None) -> set[int]:
        """Jobs that have ended are run again, some of them whatever became of their parents; return who comes back."""
        there = {job.id: job for job in self.jobs.values() if job.id not in self.gone}
        again, new = set(seeds), set(seeds)
        while new:
            new = {job.id for job in there.values() if job.cause == "jobs" and job.parents & new} - again
            again |= new
        while out := {id_ for id_ in again - forced if there[id_].judge(self.known(there[id_], again)) == "cancelled"}:
            again -= out
        for child in self.jobs.values():
            if child.id not in again and child.status == WAITING and child.verdict == "waits":
                if child.arrived is not None:
                    child.arrived -= again
                else:
                    for parent in child.parents & again:
                        child.heard.pop(parent, None)
        for job in self.jobs.values():
            job.forgiven -= again
        for id_ in again:
            there[id_].awaited = set()
        for id_ in again:
            self.comes_back(there[id_], again, is_forced=id_ in forced, due=due)
        for other in {there[id_].flow for id_ in again} & self.cancelled_flows - {flow}:
            for job in self.jobs.values():
                if job.flow == other and job.status == WAITING and job.id not in again:
                    self.ends(job, "cancelled", "workflow")
            self.cancelled_flows.discard(other or 0)
        return again

    def known(self, job: Known, again: set[int]) -> dict[int, bool | None]:
        """How its parents have ended, but for those that run again; one that was deleted does not count."""
        ended = {id_ for id_ in job.parents - again if self.jobs[id_].status not in (WAITING, RUNNING)}
        return {id_: True if id_ in job.forgiven | self.gone else self.end_of(id_) for id_ in ended}

    def comes_back(self, job: Known, again: set[int], *, is_forced: bool, due: bool) -> None:
        job.heard, job.is_forced, job.is_late = self.known(job, again), False, False
        if is_forced:
            if job.run_if is None:
                job.forgiven |= {id_ for id_, succeeded in job.heard.items() if not succeeded}
                job.heard = dict.fromkeys(job.heard, True)
            job.is_forced = len(job.heard) == len(job.parents)
            job.due = due
        if is_forced or job.expires == "now":
            job.expires = ""
        job.status, job.awaits, job.deaths, job.cause = WAITING, None, 0, None
        self.needless.discard(job.id)
        job.arrived, job.has_begun, job.is_told = None, False, True
        job.is_watched = self.has_children(job)

    def retries_flow(self, flow: int) -> set[int]:
        """A workflow is retried; return which of its jobs must run again."""
        members = [job for job in self.jobs.values() if job.flow == flow and job.id not in self.gone]
        failed = {job.id for job in members if job.status in ("failed", "aborted")}
        others = {job.id for job in members if job.cause in ("workflow", "expiry")}
        again = self.revive(failed | others, failed, flow=flow)
        self.cancelled_flows.discard(flow)
        for job in members:
            job.is_late = False
        return again

    def members(self, flow: int) -> list[Known]:
        """The jobs of a workflow."""
        return [job for job in self.jobs.values() if job.flow == flow]

    def has_ended(self, flow: int) -> bool:
        """Whether a workflow has ended: it is not open, and all of its jobs have."""
        return flow not in self.open_flows and not any(job.status in (WAITING, RUNNING) for job in self.members(flow))

    def flow_is(self, flow: int) -> tuple[int, int, int, bool, bool]:
        """Return what must be said of a workflow: how many jobs it has, how many are left, how many have failed, whether it is
        open, and whether it has ended."""
        members = self.members(flow)
        left = sum(job.status in (WAITING, RUNNING) for job in members)
        failed = sum(job.status in ("failed", "aborted") for job in members)
        return len(members), left, failed, flow in self.open_flows, self.has_ended(flow)

    def status_of(self, flow: int) -> str:
        """Return which status a workflow must have."""
        if flow in self.cancelled_flows:
            return "cancelled"
        if not self.has_ended(flow):
            return "running"
        if any(job.status in ("failed", "aborted") for job in self.members(flow)):
            return "failed"
        return "cancelled" if self.cancelled_of(flow) else SUCCEEDED

    def cancelled_of(self, flow: int) -> int:
        """Return how many jobs of a workflow were cancelled, without those that were not needed."""
        return sum(job.status == "cancelled" and job.id not in self.needless for job in self.members(flow))

    def time_passes(self) -> None:
        """What was scheduled is due, and the periods of all rates are over."""
        self.starts.clear()
        for job in self.jobs.values():
            job.due = True
            job.expires = job.expires and "now"

    # What workers do

    def places(self, job: Known) -> Iterator[tuple[Place, Numbers]]:
        """Find the limits that count a job."""
        for scope, name, key in (("key", job.task, job.key), ("task", job.task, ""), ("queue", job.queue, "")):
            numbers = self.limits.get((scope, name))
            if key is not None and numbers is not None and numbers != Numbers():
                yield (scope, name, key), numbers

    def running(self, place: Place) -> int:
        """How many jobs run that a limit counts."""
        return sum(
            job.status == RUNNING
            and any(place == each for each, _ in self.places(job))
            and (self.is_strict or place not in job.unlimited)
            for job in self.jobs.values()
        )

    def is_paused(self, job: Known) -> bool:
        return ("queue", job.queue) in self.paused or ("task", job.task) in self.paused

    def claims(self, worker: int, job: Known, claim: int) -> None:
        """A worker has got a job: check that it may run now."""
        assert job.can_start, (
            f"job {job.id} is {job.status}, waits for {job.awaits}, expires {job.expires}, and its parents say {job.verdict}"
        )
        assert not self.is_paused(job), f"job {job.id} is paused"
        assert claim == job.claim + 1, "a claim has not risen by one"
        if job.lock is not None:
            others = [each.id for each in self.jobs.values() if each.status == RUNNING and each.lock == job.lock]
            assert not others, f"jobs {others} of lock {job.lock} run already"
        job.status, job.worker, job.claim, job.arrived = RUNNING, worker, claim, None
        counted = dict(self.places(job))
        job.unlimited = {
            place
            for place in (("key", job.task, job.key or ""), ("task", job.task, ""), ("queue", job.queue, ""))
            if place not in counted or counted[place].concurrency is None
        }

    def check_limits(self, claimed: Iterable[Known]) -> None:
        """These jobs were claimed at once: no limit is passed."""
        for job in claimed:
            for place, numbers in self.places(job):
                if numbers.rate is not None:
                    self.starts[place] += 1
                    assert self.starts[place] <= numbers.rate, f"{self.starts[place]} jobs of {place} have started"
                if numbers.concurrency is not None:
                    running = self.running(place)
                    assert running <= numbers.concurrency, f"{running} jobs of {place} run at once"

    def holds(self, worker: int, outcome: Outcome) -> bool:
        job = self.jobs[outcome.id]
        return job.status == RUNNING and job.worker == worker and job.claim == outcome.claim

    def hears(self, worker: int, outcomes: Iterable[Outcome]) -> set[int]:
        """Outcomes come in; return which must be refused."""
        refused = set()
        for outcome in outcomes:
            job = self.jobs[outcome.id]
            if not self.holds(worker, outcome):
                refused.add(outcome.id)
            elif isinstance(outcome, Ended):
                self.ends(job, outcome.status)
                job.attempts += 1
                if outcome.is_deleted and job.flow is None and not job.is_watched and not self.has_children(job):
                    self.gone.add(job.id)
            else:
                job.status, job.worker = WAITING, None
                if isinstance(outcome, Suspended):
                    job.due, job.awaits, job.deaths = outcome.seconds is None, outcome.event, 0
                    if outcome.for_jobs:
                        job.has_begun = job.is_told = True
                        job.arrived = {id_ for id_ in job.awaited if self.jobs[id_].status not in (WAITING, RUNNING)}
                elif not isinstance(outcome, HandedBack):
                    assert isinstance(outcome, Retried)
                    job.attempts += 1
                    job.due, job.deaths = outcome.retry_in is None, 0
                    job.queue, job.lock = outcome.queue or job.queue, outcome.lock or job.lock
        return refused

    def has_children(self, job: Known) -> bool:
        """Whether a job was waited for when it ended."""
        return any(job.id in child.parents | child.awaited for child in self.jobs.values())

    # Jobs that wait in their runs

    def waits_in_run(self, job: Known, ids: set[int]) -> str:
        """The run of a job is to wait for others: return what becomes of that."""
        if ids & self.gone:
            return "missing"
        for id_ in ids:
            self.jobs[id_].is_watched = True
        left = {id_ for id_ in ids if self.jobs[id_].status in (WAITING, RUNNING)}
        if not left:
            return "ended"
        if left & self.behind(job, self.surely_waits):
            return "circle"
        return "perhaps" if left & self.behind(job, self.may_wait) else "waits"

    def notes(self, job: Known, ids: set[int], claim: int) -> None:
        """It does."""
        job.awaited = {id_ for id_ in ids if self.jobs[id_].status in (WAITING, RUNNING)}
        job.noted, job.is_told = claim, False

    def behind(self, job: Known, waits: Callable[[Known, int], bool]) -> set[int]:
        """Return who waits for a job, by way of others, too; and itself."""
        found, new = {job.id}, {job.id}
        live = [each for each in self.jobs.values() if each.status in (WAITING, RUNNING)]
        while new:
            new = {each.id for each in live if any(waits(each, id_) for id_ in new)} - found
            found |= new
        return found

    def surely_waits(self, job: Known, parent: int) -> bool:
        """Whether a job waits for another, or its run has said that it will."""
        if parent in job.awaited and (not job.is_told and job.status == RUNNING and job.noted == job.claim):
            return True
        if job.status != WAITING or job.verdict != "waits":
            return False
        return parent in (job.parents if job.arrived is None else job.awaited)

    def may_wait(self, job: Known, parent: int) -> bool:
        """Whether it may: it is not known whether a run that was lost says so again."""
        return (
            self.surely_waits(job, parent)
            or (parent in job.awaited and not job.is_told)
            or (job.is_late and parent in job.parents)
        )

    def frees(self, jobs: Iterable[Known]) -> None:
        """Jobs come back that their worker does not run."""
        for job in jobs:
            job.status, job.worker = WAITING, None

    def left(self) -> list[int]:
        """Jobs that have not ended."""
        return [job.id for job in self.jobs.values() if job.status in (WAITING, RUNNING)]

    # What must have happened once nothing moves any more

    def wakes(self) -> None:
        """Events have been delivered."""
        for job in self.jobs.values():
            if job.awaits in self.sent:
                job.awaits, job.due = None, True

    def must_be_cancelled(self) -> list[int]:
        return [job.id for job in self.jobs.values() if job.status == WAITING and job.verdict == "cancelled"]

    def may_be_cancelled(self, job: Known, cause: str) -> bool:
        """Whether a job may be cancelled though nobody has cancelled it by hand."""
        if cause == "expiry":
            return job.expires == "now"
        return job.judge(job.heard) == "cancelled" if cause == "jobs" else job.flow in self.cancelled_flows

    def could_run(self) -> list[int]:
        """Jobs that nothing keeps from running, though a worker has just taken all it could."""
        waiting = [job for job in self.jobs.values() if job.can_start and not self.is_paused(job)]
        return [job.id for job in waiting if self.has_room(job, waiting)]

    def has_room(self, job: Known, waiting: list[Known]) -> bool:
        if job.deaths >= SUSPICIOUS:
            return False
        if job.lock is not None and any(
            # One that is paused stays the head of its lock.
            other is not job and other.lock == job.lock and (other.status == RUNNING or other.is_in_line)
            for other in self.jobs.values()
        ):
            return False
        for number, (place, numbers) in enumerate(self.places(job)):
            # Others that wait may hold a place here while they wait for the next.
            others = [each for each in waiting if each is not job and place in dict(self.places(each))]
            holding = sum(len(list(self.places(each))) > number + 1 for each in others)
            if numbers.concurrency is not None and self.running(place) + holding >= numbers.concurrency:
                return False
            if numbers.rate is not None and self.starts[place] + holding >= numbers.rate:
                return False
        return True
