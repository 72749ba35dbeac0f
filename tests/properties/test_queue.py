"""Whatever programs and workers do, and wherever they crash, the queue keeps its promises: Postgres against a plain model."""

from __future__ import annotations

import contextlib
import copy
import datetime
import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adjourn import sql
from adjourn._domain.outcomes import Attempt, Ended, Exchanged, HandedBack, Outcome, Result, Retried
from adjourn._domain.runs import Completion
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.connectors import SyncPsycopgConnector
from adjourn.exceptions import AlreadyEnqueued, JobLost, NoResult
from adjourn.jobs import Job
from adjourn.manager import JobManager
from adjourn.unique import Unique
from properties.queue_model import LIVES, RUNNING, WAITING, Promised, Queue
from support.breaks import HUNT, changed_function, noticed

EXAMPLES = int(os.environ.get("ADJOURN_TEST_EXAMPLES", "60" if "ADJOURN_TEST_THOROUGH" in os.environ else "40"))
STEPS = 50
ERROR = '{"message": "it failed"}'
ATTEMPT = Attempt(1, None, None, datetime.datetime.min, datetime.datetime.min)
RESULTS = [Result("null", None, lambda: ATTEMPT), Result('"r"', 3600.0, lambda: ATTEMPT)]
LATER = 3600.0
NOW_AND_THEN = st.sampled_from([False, False, True])
QUEUES = st.sampled_from(["a", "b"])
LOCKS = st.sampled_from([None, "l", "l", "m"])
PRIORITIES = st.integers(-1, 1)
FOLLOW = st.sampled_from([0, 1, 3])
NEW = st.tuples(
    QUEUES, PRIORITIES, LOCKS, st.sampled_from([None, None, None, "q", "r"]), st.sampled_from([False, False, True])
)
OVER = [
    ["todo"],
    ["todo"],
    ["todo", "doing"],
    ["todo", "doing"],
    ["doing"],
    ["todo", "succeeded"],
    ["failed", "cancelled"],
]
RULES = st.builds(
    lambda key, over, policy: Unique(
        key=key, over=over, on_conflict=policy if policy != "replace" or "todo" in over else "skip"
    ),
    st.sampled_from(["k", "m"]),
    st.sampled_from(OVER),
    st.sampled_from(["raise", "skip", "replace"]),
)
STATEMENTS = sql.statements()
ENDS = sql.ends_channel("adjourn")


class Simulated:
    """A worker: what it remembers, which may be less or more than what it has."""

    def __init__(self, manager: SyncWorkerManager) -> None:
        self.manager = manager
        self.id = self.manager.register_worker("simulated", None, 100_000)
        self.known: dict[int, int] = {}
        """The jobs that it believes to have: the claim of each by its id."""
        self.told: list[Outcome] = []
        """What it has told, and tells again if it does not know whether it was heard."""
        self.past: list[tuple[int, int]] = []
        """What it was ever given: some of it by a claim that it does not have any more."""
        self.apart: int | None = None

    def __repr__(self) -> str:
        return f"worker {self.id}"


class Machine(RuleBasedStateMachine):
    """Programs and workers, one statement at a time, each of which may be the last of who makes it."""

    connector: SyncPsycopgConnector
    session: Any
    """The one on which all workers take turns."""
    listener: Any
    """Who hears of the ends of jobs that somebody waits for."""
    transaction: psycopg.Connection
    observer: psycopg.Connection
    deletions: bytes

    def __init__(self) -> None:
        super().__init__()
        self.observer.execute(self.deletions)
        self.manager = JobManager(self.connector)
        self.worker_manager = SyncWorkerManager(self.session, self.connector.json_loads)
        self.hear()
        self.queue = Queue()
        self.workers: list[Simulated] = []
        self.finished: dict[int, Job] = {}
        self.at_commit: list[Callable[[], Any]] | None = None
        """What a program has done in a transaction that is open."""

    # Programs

    @rule(
        new=st.lists(NEW, min_size=1, max_size=4),
        is_kept=NOW_AND_THEN,
    )
    def defer(self, new: list[tuple[str, int, str | None, str | None, bool]], is_kept: bool) -> None:
        """Store some jobs, or none; perhaps in a transaction that stays open."""
        if is_kept or any(self.queue.jobs[job_id].queueing_lock for job_id in self.queue.kept):
            new = [(*each[:3], None, each[4]) for each in new]  # who stores the same queueing lock waits for the other
        jobs = [
            Job(
                queue=queue,
                priority=priority,
                lock=lock,
                queueing_lock=wanted,
                task_name="t",
                schedule_in=LATER if late else None,
            )
            for queue, priority, lock, wanted, late in new
        ]
        wanted = [job.queueing_lock for job in jobs if job.queueing_lock]
        if len(set(wanted)) < len(wanted) or any(map(self.queue.is_taken, wanted)):
            with pytest.raises(AlreadyEnqueued):
                self.manager.batch_defer_jobs(jobs)
            return
        stored = self.manager.batch_defer_jobs(jobs, **self.where(is_kept))
        for job in stored:
            assert job.id is not None
            due = job.schedule_in is None
            promised = Promised(job.id, job.queue, job.priority, job.lock, job.queueing_lock, due)
            self.happens(is_kept, functools.partial(self.queue.defers, promised))

    @rule(queueing_lock=st.sampled_from(["q", "r"]), lock=LOCKS)
    def defer_one(self, queueing_lock: str, lock: str | None) -> None:
        self.defer([("a", 0, lock, queueing_lock, False)], is_kept=False)

    @precondition(lambda self: self.at_commit is None)
    @rule(new=st.lists(st.tuples(RULES, PRIORITIES, LOCKS), min_size=1, max_size=3))
    def defer_unique(self, new: list[tuple[Unique, int, str | None]]) -> None:
        """Store some jobs that may be there already, or none."""
        jobs = [
            Job(queue="a", task_name="t", priority=priority, lock=lock, unique=unique) for unique, priority, lock in new
        ]
        try:
            stored = self.manager.defer_jobs(jobs)
        except AlreadyEnqueued:
            queue = copy.deepcopy(self.queue)
            outcomes = [self.arrives(queue, job, 10**9 + number)[0] for number, job in enumerate(jobs)]
            assert "refused" in outcomes
            return
        for job, deferred in zip(jobs, stored, strict=True):
            assert self.arrives(self.queue, job, deferred.id) == (deferred.outcome, deferred.id)

    def arrives(self, queue: Queue, job: Job, job_id: int) -> tuple[str, int | None]:
        """A job that may be there already comes to a queue."""
        rule = job.unique
        assert rule is not None
        promised = Promised(job_id, job.queue, job.priority, job.lock, None, True)
        return queue.defers_unique(promised, rule.key or "", rule.over, rule.on_conflict)

    @rule(data=st.data(), abort=st.booleans(), delete=st.booleans(), is_kept=NOW_AND_THEN, is_placed=st.booleans())
    def cancel(self, data: st.DataObject, abort: bool, delete: bool, is_kept: bool, is_placed: bool) -> None:
        if is_placed:
            self.place_all(self.workers[0])
        if (job_id := self.draw_job(data)) is None:
            return
        answer = self.manager.cancel_job_by_id(job_id, abort, delete, **self.where(is_kept))
        job = self.queue.jobs.get(job_id)
        can_be = job is not None and (job.status == WAITING or (job.status == RUNNING and abort))
        assert answer == can_be
        if can_be:
            self.keep(is_kept, job_id)
            self.happens(is_kept, lambda: self.queue.cancels(job_id, abort=abort, delete=delete))

    @rule(
        data=st.data(),
        delayed=st.booleans(),
        priority=st.none() | PRIORITIES,
        lock=LOCKS,
        is_kept=NOW_AND_THEN,
        is_placed=st.booleans(),
    )
    def retry_by_hand(
        self, data: st.DataObject, delayed: bool, priority: int | None, lock: str | None, is_kept: bool, is_placed: bool
    ) -> None:
        if is_placed:
            self.place_all(self.workers[0])
        if (job_id := self.draw_job(data)) is None:
            return
        is_kept = is_kept and job_id not in self.finished
        (now,) = self.observer.execute("select now() + interval '1 hour'").fetchone() or ()
        at = now if delayed else None
        call = functools.partial(self.manager.retry_job_by_id, job_id, at, priority, None, lock, **self.where(is_kept))
        if job_id not in self.queue.jobs:
            with pytest.raises(NoResult):
                call()
            return
        call()
        self.finished.pop(job_id, None)
        self.keep(is_kept, job_id)
        self.happens(is_kept, lambda: self.queue.runs_again(job_id, delayed=delayed, priority=priority, lock=lock))

    @rule(data=st.data())
    def wait_for_one(self, data: st.DataObject) -> None:
        """Somebody waits for the end of a job."""
        if (job_id := self.draw_job(data)) is None:
            return
        rows = self.connector.execute(STATEMENTS["watch_jobs"], {"ids": [job_id]})
        found = {row["id"]: "ended" if row["has_ended"] else "held" for row in rows}
        assert found.get(job_id, "marked") == self.queue.waits_for(job_id)

    @precondition(lambda self: self.at_commit is not None)
    @rule(commits=st.booleans())
    def end_transaction(self, commits: bool) -> None:
        """The transaction of a program ends, or its program dies."""
        (self.transaction.commit if commits else self.transaction.rollback)()
        kept, self.queue.kept = self.queue.kept, set()
        self.queue.passed |= set() if commits else kept
        self.queue.stops = set()
        for happens in self.at_commit or () if commits else ():
            happens()
        self.at_commit = None
        for job_id in kept & self.queue.jobs.keys():
            self.queue.unsettle(self.queue.jobs[job_id].lock)

    @precondition(lambda self: self.at_commit is None)
    @rule()
    def time_passes(self) -> None:
        """What is scheduled is due."""
        self.observer.execute("update adjourn.adjourn_jobs set scheduled_at = scheduled_at - interval '2 hours'")
        self.queue.time_passes()

    # Workers

    @initialize(new=st.lists(NEW.map(lambda each: (*each[:3], None, each[4])), min_size=4, max_size=8))
    def begin(self, new: list[tuple[str, int, str | None, str | None, bool]]) -> None:
        self.start_worker()
        self.start_worker()
        self.defer(new, is_kept=False)

    @precondition(lambda self: sum(self.queue.is_alive(worker.id) for worker in self.workers) < 3)
    @rule()
    def start_worker(self) -> None:
        worker = Simulated(self.worker_manager)
        self.workers.append(worker)
        self.queue.registers(worker.id)

    @rule(
        data=st.data(),
        queues=st.sampled_from([None, None, ["a"], ["a", "b"]]),
        concurrency=st.integers(1, 4),
        endings=st.lists(st.sampled_from(["heard", "heard", "heard", "lost", "undone"]), min_size=1, max_size=4),
        follow=FOLLOW,
    )
    def exchange(
        self, data: st.DataObject, queues: list[str] | None, concurrency: int, endings: list[str], follow: int
    ) -> None:
        """A worker tells what has become of jobs and claims others, some times; answers are lost, or the database crashes."""
        worker = self.draw_worker(data)
        for ending in endings:
            limit = data.draw(st.integers(0, 4), "limit")
            told = self.draw_outcomes(data, worker)
            if ending == "undone":
                self.session.execute(STATEMENTS["begin"], {})
                try:
                    self.ask(worker, told, limit, queues, concurrency, follow)
                finally:
                    self.session.execute(STATEMENTS["rollback"], {})
            else:
                exchanged = self.ask(worker, told, limit, queues, concurrency, follow)
                self.check(
                    worker, told, exchanged, limit, queues, concurrency, is_heard=ending == "heard", follow=follow
                )

    @rule(data=st.data(), limit=st.integers(1, 4), queues=st.sampled_from([None, None, ["a"]]), follow=FOLLOW)
    def claim(self, data: st.DataObject, limit: int, queues: list[str] | None, follow: int) -> None:
        worker = self.draw_worker(data)
        self.place_all(worker)
        exchanged = self.ask(worker, [], limit, queues, limit, follow)
        self.check(worker, [], exchanged, limit, queues, limit, follow=follow)

    @rule(data=st.data(), limit=st.integers(1, 4))
    def work(self, data: st.DataObject, limit: int) -> None:
        """What a worker does when nothing is in its way: end what it has, place, and claim more."""
        worker = self.draw_worker(data)
        told: list[Outcome] = [Ended(id_, claim, "succeeded") for id_, claim in worker.known.items()]
        self.check(worker, told, self.ask(worker, told, 0, None, 4), 0, None, 4)
        self.place_all(worker)
        self.check(worker, [], self.ask(worker, [], limit, None, 4, 2), limit, None, 4, follow=2)

    @rule(data=st.data(), new=st.integers(2, 4), outcomes=st.integers(1, 3))
    def run_a_lock(self, data: st.DataObject, new: int, outcomes: int) -> None:
        """A worker claims a run of a lock, and tells what became of some of it, in order."""
        worker = self.draw_worker(data)
        self.defer([("a", 0, "l", None, False)] * new, is_kept=False)
        self.place_all(worker)
        self.check(worker, [], self.ask(worker, [], 4, None, 4, 3), 4, None, 4, follow=3)
        locks = {id_: job.lock for id_, job in self.queue.jobs.items()}
        mine = sorted((id_, claim) for id_, claim in worker.known.items() if locks.get(id_) == "l")
        told = [self.draw_outcome(data, *each) for each in mine[:outcomes]]
        self.check(worker, told, self.ask(worker, told, 0, None, 4), 0, None, 4)

    @rule(data=st.data())
    def place(self, data: st.DataObject) -> None:
        self.draw_worker(data).manager.place(1)
        self.queue.notes_are_read()

    @rule(data=st.data(), how=st.sampled_from(["disown", "hand back"]))
    def find_lost_answers(self, data: st.DataObject, how: str) -> None:
        """A worker that has connected anew gives back what it does not know."""
        worker = self.draw_worker(data)
        if how == "disown":
            assert set(worker.manager.disown(worker.id, worker.known.items())) == self.queue.disowns(
                worker.id, worker.known
            )
            return
        found: list[HandedBack] = worker.manager.list_unknown_claims(worker.id, worker.known.items())
        assert {each.id for each in found} == self.queue.unknown_to(worker.id, worker.known)
        assert all(self.queue.holds(worker.id, each.id, each.claim) for each in found)
        self.check(worker, [*found], self.ask(worker, [*found], 0, None, 4), 0, None, 4)

    @rule(data=st.data(), forgets=st.booleans(), is_rescued=st.sampled_from([True, True, False]))
    def fail(self, data: st.DataObject, forgets: bool, is_rescued: bool) -> None:
        """A worker is killed, and what it knew with it; or it is stopped for longer than its lease, and goes on when it wakes."""
        worker = self.draw_worker(data)
        if forgets:
            worker.known, worker.told, worker.past, worker.apart = {}, [], [], None
        self.fall_silent(worker)
        if is_rescued:
            self.rescue()

    @precondition(lambda self: self.at_commit is None)
    @rule(data=st.data(), ending=st.sampled_from(["commits", "commits", "rolls back", "stays open"]))
    def complete(self, data: st.DataObject, ending: str) -> None:
        """A task ends its job in a transaction of its own, perhaps long after others have got the job."""
        worker = self.draw_worker(data)
        if not worker.past:
            return
        job_id, claim = data.draw(st.sampled_from(sorted(worker.known.items()) * 3 + worker.past), "claim")
        for job in self.manager.list_jobs(id=job_id):
            run = job.evolve(claim=claim, worker_id=worker.id)
            if not self.queue.holds(worker.id, job_id, claim):
                with pytest.raises(JobLost):
                    self.manager.runs.complete(run, self.transaction, result=None, ttl=None)
                ending = "rolls back"
            else:
                self.manager.runs.complete(run, self.transaction, result=None, ttl=None)
                self.keep(True, job_id)
                self.happens(True, functools.partial(self.queue.completes, job_id))
            if ending == "stays open":
                assert self.manager.runs.ask_completion(run) == Completion.OPEN
            else:
                self.end_transaction(ending == "commits")

    @rule(data=st.data())
    def beat(self, data: st.DataObject) -> None:
        worker = self.draw_worker(data)
        said = set(worker.known.items()) | set(worker.past) if data.draw(st.booleans(), "says what it runs") else set()
        heartbeat = worker.manager.heartbeat(worker.id, 100_000, (), sorted(said))
        assert heartbeat.alive == self.queue.heartbeat(worker.id, said)
        held = self.queue.held_by(worker.id)
        assert set(heartbeat.aborts) == {id_ for id_ in held if self.queue.jobs[id_].abort_requested}

    @rule(times=st.integers(1, LIVES))
    def fail_often(self, times: int) -> None:
        """One worker after the other is killed while it runs the best job."""
        for _ in range(times):
            worker = Simulated(self.worker_manager)
            self.queue.registers(worker.id)
            self.place_all(worker)
            self.check(worker, [], self.ask(worker, [], 1, None, 1, 1), 1, None, 1, follow=1)
            self.fall_silent(worker)
            self.rescue()

    @precondition(lambda self: self.at_commit is None)
    @rule(data=st.data())
    def fail_while_a_job_is_kept(self, data: st.DataObject) -> None:
        """A worker is killed while a program keeps the row of one of its jobs, which is rescued later."""
        worker = self.draw_worker(data)
        held = sorted(self.queue.held_by(worker.id))
        if held:
            assert self.manager.cancel_job_by_id(held[0], True, connection=self.transaction)
            self.keep(True, held[0])
            self.happens(True, functools.partial(self.queue.cancels, held[0], abort=True, delete=False))
        self.fall_silent(worker)
        self.rescue()

    @rule(data=st.data())
    def cancel_a_head(self, data: st.DataObject) -> None:
        """The next job of a lock is cancelled before it is claimed."""
        worker = self.draw_worker(data)
        self.place_all(worker)
        ready = [job for job in self.queue.jobs.values() if job.is_ready and job.id not in self.queue.kept]
        for lock in ("l", "m"):
            waiting = sorted((job for job in ready if job.lock == lock), key=lambda job: job.rank)
            if waiting:
                assert self.manager.cancel_job_by_id(waiting[0].id)
                self.queue.cancels(waiting[0].id, abort=False, delete=False)
        self.place_all(worker)
        self.check(worker, [], self.ask(worker, [], 4, None, 4), 4, None, 4)

    @rule(data=st.data(), queues=st.sampled_from([None, ["a"], ["a", "b"]]))
    def age(self, data: st.DataObject, queues: list[str] | None) -> None:
        """All have waited for so long that each gets the highest priority of those that are ready: of all, or of its queue."""
        rows = self.observer.execute(
            "select id, queue from adjourn.adjourn_jobs where hold = 0 and worker_id is null"
        ).fetchall()
        ready = [self.queue.jobs[id_] for id_, queue in rows if queues is None or queue in queues]
        raised = self.draw_worker(data).manager.age(1e-6, queues, 1000)
        assert raised == self.queue.age(ready, by_queue=queues is not None)

    @rule()
    def rescue(self) -> None:
        assert self.workers[0].manager.rescue(LIVES, 0.0).counts == self.queue.rescues()

    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        worker = self.draw_worker(data)
        worker.manager.unregister_worker(worker.id)
        self.queue.unregisters(worker.id)

    # What must hold

    @invariant()
    def every_job_is_as_promised(self) -> None:
        found = self.manager.list_jobs()
        assert sorted(job.id or 0 for job in found) == sorted(self.queue.jobs), (
            "a job was lost, doubled, or not deleted"
        )
        for job in found:
            assert job.id is not None
            promised = self.queue.jobs[job.id]
            names = ["status", "queue", "priority", "lock", "queueing_lock", "claim", "attempts", "abort_requested"]
            for name in names:
                assert getattr(job, name) == getattr(promised, name), f"{name} of job {job.id}"
            assert len(job.errors) == promised.errors
            assert (json.dumps(job.result) if job.has_result else None) == promised.result
            if job.status in (WAITING, RUNNING):
                assert job.worker_id == promised.worker
            else:
                assert self.finished.setdefault(job.id, job) == job, "a job that has ended has changed"

    @invariant()
    def who_waits_is_told(self) -> None:
        told, self.queue.told = self.queue.told, set()
        assert self.hear() == told

    def hear(self) -> set[int]:
        """Return the ids of the jobs whose ends were told since the last time."""
        self.observer.execute("select pg_notify(%s, '0')", [ENDS])
        heard: set[int] = set()
        while 0 not in heard:
            heard |= {int(id_) for payload in self.listener.wait_for_notifications(10) for id_ in payload.split()}
        return heard - {0}

    def teardown(self) -> None:
        if self.at_commit is not None:
            self.end_transaction(False)
        if self.workers and sys.exc_info()[0] is None:  # otherwise a promise was broken already
            self.everything_ends()

    def everything_ends(self) -> None:
        """All are dead but one, who finds every job in the end."""
        self.time_passes()
        for worker in self.workers:
            self.fall_silent(worker)
        self.start_worker()
        worker = self.workers[-1]
        assert worker.manager.rescue(LIVES, 0.0).counts == self.queue.rescues()
        for _ in range(3 * len(self.queue.jobs) + 3):
            told: list[Outcome] = [Ended(id_, claim, "succeeded") for id_, claim in worker.known.items()]
            self.check(worker, told, self.ask(worker, told, 3, None, 3, 1), 3, None, 3, follow=1)
            worker.manager.place(200)
            self.queue.notes_are_read()
        left = [job.id for job in self.queue.jobs.values() if job.status in (WAITING, RUNNING)]
        assert not left, f"jobs {left} never run"
        self.every_job_is_as_promised()
        self.who_waits_is_told()

    # Steps

    def ask(
        self,
        worker: Simulated,
        told: list[Outcome],
        limit: int,
        queues: list[str] | None,
        concurrency: int,
        follow: int = 0,
    ) -> Exchanged:
        return worker.manager.exchange(
            worker.id,
            told,
            limit=limit,
            queues=queues,
            concurrency=concurrency,
            running=self.running_after(worker, told),
            apart=worker.apart,
            follow=follow,
        )

    def running_after(self, worker: Simulated, told: list[Outcome]) -> int:
        """How many jobs a worker believes to have when it has told this."""
        return len(worker.known.keys() - {each.id for each in told})

    def check(
        self,
        worker: Simulated,
        told: list[Outcome],
        exchanged: Exchanged,
        limit: int,
        queues: list[str] | None,
        concurrency: int,
        is_heard: bool = True,
        follow: int = 0,
    ) -> None:
        """Compare an answer with what was promised, and have the worker learn of it, if it hears it."""
        room = max(concurrency - self.running_after(worker, told), 0)
        refused, waiting = self.queue.hears(worker.id, told)
        assert exchanged.refused == refused, "a stale outcome was stored, or a good one refused"
        assert exchanged.held == waiting
        assert exchanged.alive == (limit == 0 or self.queue.is_alive(worker.id))
        is_apart = exchanged.apart is not None
        if limit:
            ids = [job.id for job in exchanged.jobs if job.id is not None]
            self.queue.claims_jobs(worker.id, limit, queues, room, ids, follow=follow, is_apart=is_apart)
        assert all(job.error is None for job in exchanged.claimed)
        for job in exchanged.jobs:
            assert job.claim == self.queue.jobs[job.id or 0].claim, "a claim has not risen by one"
        if is_heard:
            for outcome in told:
                if outcome.id not in waiting:
                    worker.known.pop(outcome.id, None)
            worker.known |= {job.id: job.claim for job in exchanged.jobs if job.id is not None}
            worker.apart = exchanged.apart
            worker.past += [claim for claim in worker.known.items() if claim not in worker.past]
        worker.told = told or worker.told

    def place_all(self, worker: Simulated) -> None:
        """Make due what is due, and place until there is nothing to place."""
        self.check(worker, [], self.ask(worker, [], 0, None, 4), 0, None, 4)
        for _ in range(20):
            if not worker.manager.place(200):
                break
        self.queue.notes_are_read()
        self.queue.is_placed()

    def fall_silent(self, worker: Simulated) -> None:
        self.observer.execute(
            "update adjourn.adjourn_workers set expires_at = now() - interval '1 s' where id = %s", [worker.id]
        )
        self.queue.falls_silent(worker.id)

    def where(self, is_kept: bool) -> dict[str, Any]:
        return {"connection": self.transaction} if is_kept else {}

    def keep(self, is_kept: bool, job_id: int) -> None:
        if is_kept:
            job = self.queue.jobs[job_id]
            if job.is_ready and job.lock not in self.queue.unsettled:
                self.queue.stops.add(job_id)
            self.queue.kept.add(job_id)
            self.queue.unsettle(job.lock)

    def happens(self, is_kept: bool, what: Callable[[], Any]) -> None:
        """It happens now, or when the open transaction is committed."""
        if not is_kept:
            what()
        else:
            self.at_commit = [*(self.at_commit or ()), what]

    # Choosing

    def draw_job(self, data: st.DataObject) -> int | None:
        """Choose a job that no open transaction keeps, rather one that waits or runs; or one that is gone."""
        free = [job for job in self.queue.jobs.values() if job.id not in self.queue.kept]
        live = [job.id for job in free if job.status in (WAITING, RUNNING)]
        live += [job.id for job in free if job.is_ready and job.lock is not None] * 2
        ids = live * 3 + [job.id for job in free] + [10**9]
        return data.draw(st.sampled_from(ids), "job")

    def draw_worker(self, data: st.DataObject) -> Simulated:
        """Choose a worker, rather one that is alive; one that is dead only if it knows of something."""
        alive = [worker for worker in self.workers if self.queue.is_alive(worker.id)]
        zombies = [worker for worker in self.workers if worker.known and worker not in alive]
        return data.draw(st.sampled_from(alive * 2 + zombies or self.workers), "worker")

    def draw_outcomes(self, data: st.DataObject, worker: Simulated) -> list[Outcome]:
        """Choose what a worker tells: of what it has, or once more what it has told."""
        if worker.told and data.draw(st.sampled_from([False, False, False, True]), "again"):
            return worker.told
        if not worker.past:
            return []
        known = st.sampled_from(sorted(worker.known.items()) * 3 + worker.past)
        chosen = data.draw(st.lists(known, max_size=3, unique_by=lambda each: each[0]), "jobs")
        return [self.draw_outcome(data, *each) for each in chosen]

    def draw_outcome(self, data: st.DataObject, job_id: int, claim: int) -> Outcome:
        ended = st.builds(
            lambda status, is_deleted: Ended(
                job_id, claim, status, ERROR if status == "failed" else None, is_deleted=is_deleted
            ),
            st.sampled_from(["succeeded", "failed", "aborted"]),
            NOW_AND_THEN,
        )
        with_result = st.sampled_from(RESULTS).map(lambda result: Ended(job_id, claim, "succeeded", None, result))
        retried = st.builds(
            Retried,
            st.just(job_id),
            st.just(claim),
            st.just(ERROR),
            retry_in=st.sampled_from([None, None, LATER]),
            priority=st.none() | PRIORITIES,
            lock=LOCKS,
        )
        handed_back = st.just(HandedBack(job_id, claim))
        return data.draw(ended | with_result | retried | handed_back, "outcome")


@pytest.mark.timeout(600)
def test_the_queue_keeps_its_promises_whatever_is_done_and_wherever_it_crashes(
    dsn: str, tables: list[str], observer: psycopg.Connection
) -> None:
    run(dsn, tables, observer)


def run(dsn: str, tables: list[str], observer: psycopg.Connection, **options: Any) -> None:
    """Have hypothesis look for what breaks a promise."""
    # Each example has the same ids, so that hypothesis can repeat it.
    sequences = [f"select setval('adjourn.adjourn_{table}_id_seq', 1, false);" for table in ("jobs", "workers")]
    deletions = "".join([*(f"delete from {table};" for table in tables), *sequences]).encode()
    connector = SyncPsycopgConnector(dsn, min_size=1, max_size=2, options="-c lock_timeout=5s")
    options = {"max_examples": EXAMPLES, "stateful_step_count": STEPS, **options}
    with contextlib.ExitStack() as closing:
        connector.open()
        closing.callback(connector.close)
        session = connector.session()
        closing.callback(session.close)
        listener = connector.session()
        closing.callback(listener.close)
        listener.listen(ENDS)
        transaction = closing.enter_context(contextlib.closing(psycopg.connect(dsn)))
        parts = {"connector": connector, "session": session, "listener": listener, "transaction": transaction}
        machine = type("Found", (Machine,), {**parts, "observer": observer, "deletions": deletions})
        run_state_machine_as_test(
            machine, settings=settings(deadline=None, suppress_health_check=list(HealthCheck), **options)
        )


BREAKS = {
    "an outcome of an earlier claim counts": (
        "exchange",
        "j.id between outcome.id and outcome.id and j.claim = outcome.claim",
        "j.id between outcome.id and outcome.id",
    ),
    "an outcome of a lost job counts": (
        "exchange",
        "j.claim = outcome.claim and j.worker_id = p_worker",
        "j.claim = outcome.claim",
    ),
    "a result of an earlier claim counts": (
        "finish_with_results",
        "j.id between outcome.id and outcome.id and j.claim = outcome.claim",
        "j.id between outcome.id and outcome.id",
    ),
    "a result is forgotten": ("finish_with_results", "result::jsonb, now()", "null, now()"),
    "a retry of an earlier claim counts": (
        "put_back",
        "j.id between o.id and o.id and j.claim = o.claim",
        "j.id between o.id and o.id",
    ),
    "a job that runs is claimed": (
        "exchange",
        "where j.hold = @ready and j.worker_id is null\n",
        "where j.hold = @ready\n",
    ),
    "the oldest job goes first": (
        "exchange",
        "order by j.priority desc, coalesce(j.turn, j.id) limit p_limit for",
        "order by coalesce(j.turn, j.id) limit p_limit for",
    ),
    "the dead claim jobs": ("exchange", "and not w.dead and w.expires_at > now() for key", "for key"),
    "a claim keeps the queueing lock": ("exchange", "waiting_queueing_lock = null,", ""),
    "what is due stays": ("exchange", "if v_due <= now() then", "if v_due < now() - interval '1 day' then"),
    "who does not wait gets a higher priority": (
        "age",
        "where j.id = any(v_old) and j.hold + 0 = @ready and j.worker_id is null order by",
        "where j.worker_id is not null order by",
    ),
    "a job gets a higher priority than any other has": (
        "age",
        "v_top - j.priority::bigint",
        "v_top + 1 - j.priority::bigint",
    ),
    "the oldest of a lock is promoted": ("promote", "order by j.priority desc, j.id", "order by j.id"),
    "nobody is promoted": ("exchange", "v_promoted := @schema.adjourn_promote_v1(v_freed, v_followers);", "null;"),
    "a run passes over a locked job": (
        "claim_runs",
        "bool_and(j.id is not null) over (partition by c.head order by c.number) as fits",
        "j.id is not null as fits",
    ),
    "a run goes on behind a better job": (
        "claim_runs",
        "b.fits and (b.priority < head.priority or b.priority = head.priority and b.id > head.id)",
        "b.fits",
    ),
    "followers are forgotten when their head ends": ("promote", "if p_followers is not null then", "if false then"),
    "followers are forgotten when their head is retried": (
        "put_back",
        "if v_followers <> '{}' then",
        "if false then",
    ),
    "followers are forgotten when their worker dies": (
        "rescue",
        "v_followers := @schema.adjourn_followers_v1(v_ids, v_dead);",
        "v_followers := '{}';",
    ),
    "followers are forgotten when their head is retried by hand": (
        "place",
        "if v_followers is not null then",
        "if false then",
    ),
    "the oldest of a lock is placed": ("place", "order by b.priority desc, b.id", "order by b.id"),
    "a better job waits": ("place", "if v_better is not null", "if false"),
    "the placed are forgotten": (
        "place",
        "select coalesce(array_agg(distinct lock), '{}'), string_to_array",
        "select array(select lock from noted where false), string_to_array",
    ),
    "a completed job keeps its lock": ("complete", "where lock is not null and hold = @ready", "where false"),
    "a cancelled head is not missed": ("cancel_jobs", "where lock is not null and hold in (@heads)", "where false"),
    "a running job is cancelled": ("lock_jobs", "and (j.worker_id is not null) = p_running order", "order"),
    "a job kills one worker more": ("rescue", "j.losses + 1 >= p_max_losses", "j.losses >= p_max_losses"),
    "a death is no attempt": (
        "rescue",
        "attempts = j.attempts + 1, losses",
        "attempts = j.attempts, losses",
    ),
    "what a worker has said of its runs is forgotten": ("rescue", "(j.id, j.claim) in (", "(j.id, -j.claim) in ("),
    "what a worker has said of another claim counts": ("rescue", "(j.id, j.claim) in (", "(j.id, j.claim - 1) in ("),
    "a suspicious job runs beside others": ("rescue", "j.doubts + 1 >= @apart_from", "false"),
    "a worker is forgotten with its jobs": (
        "keep_workers",
        "if v_busy = '{}' then",
        "if true then",
    ),
    "a retry by hand keeps the claim": (
        "retry_by_id",
        "worker_id = null, started_at = null, ready_at",
        "started_at = null, ready_at",
    ),
    "a retry by hand forgets its lock": (
        "retry_by_id",
        "if v_old.lock is not null and v_old.hold in (@heads)",
        "if false",
    ),
    "two of one key": ("defer_unique", "v_states[v_key] <> all(v_overs[v_at]::text[])\n", "true\n"),
    "a job that has ended counts": ("defer_unique", "coalesce(f.status, case", "coalesce('todo', case"),
    "a job that waits is not replaced": ("defer_unique", ") n where j.id between n.id and n.id;", ") n where false;"),
    "a replaced head is not missed": ("defer_unique", "and j.lock is not null and j.hold in (@heads)", "and false"),
    "a job that was deleted counts": ("cancel_jobs", "if p_delete then", "if false then"),
    "nobody is told": ("tell_ends", "where j.waited", "where false"),
    "who waits for a job is not told of it": ("watch_jobs", "set waited = true, special = true", "set waited = true"),
    "a job is deleted although somebody waits for it": ("is_wanted", "p_job.waited is true", "false"),
    "a retry comes at once": ("put_back", "when mine.due_at > now() then @scheduled ", "when false then @scheduled "),
}


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes two minutes: scripts/test-all runs it")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("broken", BREAKS)
def test_the_model_notices_a_broken_promise(
    broken: str, dsn: str, tables: list[str], observer: psycopg.Connection
) -> None:
    name, old, new = BREAKS[broken]
    with changed_function(observer, name, (old, new)), noticed():
        run(dsn, tables, observer, max_examples=10 * EXAMPLES, **HUNT)
