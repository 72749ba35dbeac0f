"""Whatever programs and workers do, limits, rates, pauses, workflows, unique jobs, steps, events and terms keep what is promised of them."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
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

from adjourn import Limit, Rate
from adjourn._domain.job_limits import JobLimit
from adjourn._domain.outcomes import Ended, Exchanged, HandedBack, Outcome, Retried, Suspended
from adjourn._domain.runs import StepKind
from adjourn._domain.terms import JobTerms
from adjourn._domain.workflows import Planned
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn.connector import BaseConnector
from adjourn.connectors import SyncPsycopgConnector
from adjourn.exceptions import AdjournException, AlreadyEnqueued, InvalidOption, JobLost, JobSuspended, NoResult
from adjourn.jobs import Job
from adjourn.manager import JobManager
from adjourn.testing import MemoryStore, SyncInMemoryConnector
from adjourn.unique import Unique
from properties.flow_model import RUNNING, SUCCEEDED, WAITING, Flow, Known, Numbers
from properties.flow_scenes import SCENES, play
from support.breaks import HUNT, changed_function, noticed

IS_THOROUGH = "ADJOURN_TEST_THOROUGH" in os.environ
EXAMPLES = int(os.environ.get("ADJOURN_TEST_FLOW_EXAMPLES", "150" if IS_THOROUGH else "8"))
STEPS = 40
HOUR = 3600.0
UNNEEDED = ("none of the jobs that it waited for has failed", "a job that it waited for was not needed")
LATER = 2 * HOUR
"""Seconds that pass at once: longer than every delay, and than the period of every rate."""
LIVES = 5
ENDED = (SUCCEEDED, "failed", "cancelled", "aborted")
RARELY = st.sampled_from([False, False, False, True])
QUEUES = st.sampled_from(["a", "a", "b"])
LOCKS = st.sampled_from([None, None, None, "l"])
TASKS = st.sampled_from(["keyed", "keyed", "rated", "whole", "plain"])
KEYS = st.sampled_from(["x", "x", "y"])
TERMS = st.sampled_from([None, None, None, None, "expires", "once"])
NEW = st.tuples(TASKS, KEYS, QUEUES, LOCKS, st.integers(-1, 1), RARELY, TERMS)
"""The task of a job, its key, queue, lock and priority, whether it is scheduled, and its terms."""
New = tuple[str, str, str, str | None, int, bool, str | None]
BATCHES = {"keyed": 3, "plain": 3}
"""Tasks that take several jobs in a call, and how many."""
DECLARED = {"keyed": Limit(key="key", concurrency=2), "rated": Limit(key="key", rate=Rate(3, HOUR))}
LIMITED = st.sampled_from(
    [("key", "keyed"), ("key", "keyed"), ("key", "rated"), ("task", "whole"), ("queue", "a"), ("queue", "b")]
)
NUMBERS = st.builds(Numbers, st.sampled_from([None, 1, 1, 2, 3]), st.sampled_from([None, None, None, 2, 4]))


class Simulated:
    """A worker: what it remembers, which may be less or more than what it has."""

    def __init__(self, manager: SyncWorkerManager, queues: list[str] | None, takes_batches: bool) -> None:
        self.manager = manager
        self.queues = queues
        self.takes_batches = takes_batches
        self.id = manager.register_worker("simulated", queues, 10**8)
        self.known: dict[int, int] = {}
        self.past: list[tuple[int, int]] = []
        self.apart: int | None = None
        self.is_dead = False

    def __repr__(self) -> str:
        return f"worker {self.id}"


def cause_of(seen: Job, job: Known) -> str:
    """Return why a job was cancelled, by what it says itself."""
    reason = seen.reason or ""
    if reason.startswith("it had not begun by "):
        return "expiry"
    if reason == f"workflow {job.flow} was cancelled":
        return "workflow"
    parent = re.fullmatch(r"job (\d+) (failed|was cancelled|was aborted|is gone)", reason)
    assert reason in UNNEEDED or (parent is not None and int(parent[1]) in job.parents), f"job {job.id}: {reason}"
    return "jobs"


class Machine(RuleBasedStateMachine):
    """Programs and workers, one statement at a time."""

    def reset(self) -> tuple[BaseConnector, Any]:
        """Empty the database; return a connector to it, and the session on which all workers take turns."""
        raise NotImplementedError

    def pass_time(self) -> None:
        """Have `LATER` seconds pass at once."""
        raise NotImplementedError

    @contextlib.contextmanager
    def locked(self, *ids: int) -> Iterator[None]:
        """Have another transaction hold these jobs for as long as the block lasts."""
        yield

    is_memory = False

    def __init__(self) -> None:
        super().__init__()
        self.connector, session = self.reset()
        self.manager = JobManager(self.connector)
        # What it declares of them does not matter: it sets them.
        self.manager.declares = lambda: {("key", name): Limit(concurrency=1) for name in ("keyed", "rated")}
        self.worker_manager = SyncWorkerManager(session, self.connector.json_loads)
        self.model = Flow(is_strict=self.is_memory)
        self.workers: list[Simulated] = []
        self.flows: list[int] = []

    # Programs

    def job(self, new: New, **options: Any) -> Job:
        task, key, queue, lock, priority, is_late, term = new
        terms = JobTerms(
            expires_in=HOUR / 2 if term == "expires" else None,
            max_attempts=1 if term == "once" else None,
            is_batch=task in BATCHES and lock is None,
        )
        limit = JobLimit(task, key, DECLARED[task]) if task in DECLARED else JobLimit() if task == "whole" else None
        when = HOUR if is_late else None
        return Job(
            task_name=task,
            queue=queue,
            lock=lock,
            priority=priority,
            limit=limit,
            schedule_in=when,
            terms=terms,
            **options,
        )

    def known(self, job_id: int, new: New, **options: Any) -> Known:
        task, key, queue, lock, _, is_late, term = new
        return Known(
            job_id,
            task,
            queue,
            lock,
            key if task in DECLARED else None,
            due=not is_late,
            expires="later" if term == "expires" else "",
            max_attempts=1 if term == "once" else None,
            **options,
        )

    @initialize(new=st.lists(NEW, min_size=3, max_size=8))
    def begin(self, new: list[New]) -> None:
        for scope, name in (("key", "keyed"), ("task", "whole")):
            self.set_limit((scope, name), Numbers(2))
        self.set_limit(("key", "rated"), Numbers(None, 3))
        self.start_worker(None)
        self.start_worker(None)
        self.defer(new)

    @rule(new=st.lists(NEW, min_size=1, max_size=4))
    def defer(self, new: list[New]) -> None:
        stored = self.manager.batch_defer_jobs([self.job(each) for each in new])
        for job, each in zip(stored, new, strict=True):
            self.model.defers(self.known(job.id or 0, each))

    @rule(new=NEW, count=st.integers(2, 5))
    def defer_alike(self, new: New, count: int) -> None:
        self.defer([new] * count)

    @rule(new=NEW, key=st.sampled_from(["u", "v"]), policy=st.sampled_from(["raise", "skip", "replace"]))
    def defer_unique(self, new: New, key: str, policy: Any) -> None:
        """Of the jobs with one key, one waits or runs."""
        job = self.job(new, unique=Unique(key=key, on_conflict=policy))
        outcome, there = self.model.defers_unique(key, policy)
        if outcome == "refused":
            with pytest.raises(AlreadyEnqueued) as raised:
                self.manager.defer_jobs([job])
            assert raised.value.job_ids == (there,)
            return
        (deferred,) = self.manager.defer_jobs([job])
        assert deferred.outcome == outcome
        assert there is None or deferred.id == there
        if outcome == "stored":
            self.model.keys[key] = deferred.id
            self.model.defers(self.known(deferred.id, new))
        elif outcome == "replaced":
            old, fresh = self.model.jobs[deferred.id], self.known(deferred.id, new)
            old.task, old.queue, old.lock, old.due, old.awaits = fresh.task, fresh.queue, fresh.lock, fresh.due, None
            old.arrived = None
            old.key, old.deaths, old.expires, old.max_attempts = fresh.key, 0, fresh.expires, fresh.max_attempts

    @rule(
        data=st.data(),
        shape=st.sampled_from(["chain", "group", "fan out", "diamond"]),
        new=st.lists(NEW, min_size=4, max_size=4),
        rules=st.lists(st.sampled_from([None, None, None, 1, 2]), min_size=4, max_size=4),
        is_late=RARELY,
        is_open=RARELY,
    )
    def defer_workflow(
        self,
        data: st.DataObject,
        shape: str,
        new: list[New],
        rules: list[int | None],
        is_late: bool,
        is_open: bool = False,
    ) -> None:
        """Jobs that wait for each other, the first of them perhaps for one that is there already."""
        waits = {"chain": [[], [0], [1], [2]], "group": [[], [], [], [0, 1, 2]]}
        waits |= {"fan out": [[], [0], [0], [0]], "diamond": [[], [0], [0], [1, 2]]}
        others = [job.id for job in self.model.jobs.values() if job.id not in self.model.gone]
        other = data.draw(st.sampled_from(others)) if is_late and others else None
        plans: list[Planned] = []
        for number, each in enumerate(new):
            parents: list[Any] = [plans[parent] for parent in waits[shape][number]]
            if other is not None and number == 0:
                parents = [other]
            names: list[str | None] = [None] * len(parents)
            plans.append(Planned(self.job(each), None, parents, names, rules[number] if parents else None))
        self.store_workflow(plans, new, rules, None, is_open=is_open)
        if other is not None:
            self.settle_places()

    def store_workflow(
        self, plans: list[Planned], new: list[New], rules: list[int | None], flow: int | None, *, is_open: bool = False
    ) -> int:
        """Store these jobs, as a workflow or as more of one; return its id."""
        stored = self.manager.workflows.store_workflow(plans, None, flow, is_open=is_open)
        ids = [each for (each,) in stored.ids]
        for number, plan in enumerate(plans):
            found = {parent if isinstance(parent, int) else ids[plans.index(parent)] for parent in plan.parents}
            rule_ = rules[number] if found else None
            known = self.known(ids[number], new[number], flow=stored.workflow_id, parents=found, run_if=rule_)
            known.is_late = stored.workflow_id in self.model.cancelled_flows
            self.model.defers(known)
        if flow is None:
            self.flows.append(stored.workflow_id)
            if is_open:
                self.model.open_flows.add(stored.workflow_id)
        return stored.workflow_id

    @rule(new=st.lists(NEW, max_size=2))
    def open_workflow(self, new: list[New]) -> None:
        """A workflow to which jobs are added, and which may have none yet."""
        plans = [Planned(self.job(each), None, [], [], None) for each in new]
        self.store_workflow(plans, new, [None] * len(new), None, is_open=True)

    @precondition(lambda self: self.flows)
    @rule(
        data=st.data(),
        new=st.lists(NEW, min_size=1, max_size=3),
        rules=st.lists(st.sampled_from([None, None, None, 1, 2]), min_size=3, max_size=3),
        is_chained=st.booleans(),
        waits=st.booleans(),
        again=RARELY,
    )
    def extend_workflow(
        self,
        data: st.DataObject,
        new: list[New],
        rules: list[int | None],
        is_chained: bool,
        waits: bool,
        again: bool,
    ) -> None:
        """Add jobs to a workflow, the first of them perhaps behind one of its jobs. If it is cancelled, then so are they, unless somebody
        runs it again before."""
        self.settle_places()
        flow = self.draw_flow(data)
        self.extend(data, flow, new, rules, is_chained, waits)
        if again:
            self.retry_flow(flow)

    def extend(
        self,
        data: st.DataObject | None,
        flow: int,
        new: list[New],
        rules: list[int | None],
        is_chained: bool,
        waits: bool,
    ) -> None:
        others = [job.id for job in self.model.members(flow) if job.id not in self.model.gone]
        other = data.draw(st.sampled_from(others), "job") if data is not None and waits and others else None
        plans: list[Planned] = []
        for number, each in enumerate(new):
            parents: list[Any] = [plans[-1]] if number and is_chained else [other] if other is not None else []
            plans.append(
                Planned(self.job(each), None, parents, [None] * len(parents), rules[number] if parents else None)
            )
        if self.model.has_ended(flow):
            with pytest.raises(InvalidOption, match="has ended"):
                self.manager.workflows.store_workflow(plans, None, flow)
            return
        self.store_workflow(plans, new, rules, flow)
        if other is not None:
            self.settle_places()

    @precondition(lambda self: self.flows)
    @rule(data=st.data())
    def close_workflow(self, data: st.DataObject) -> None:
        """A workflow ends with its last job."""
        flow = self.draw_flow(data)
        assert self.manager.close_workflow(flow) == (flow in self.model.open_flows)
        self.model.open_flows.discard(flow)

    @rule(data=st.data(), delete=RARELY)
    def cancel(self, data: st.DataObject, delete: bool) -> None:
        job = self.draw_job(data)
        if job is None or job.status != WAITING:
            return
        assert self.manager.cancel_job_by_id(job.id, delete_job=delete)
        self.model.ends(job, "cancelled")
        if delete:
            self.model.gone.add(job.id)

    @rule(data=st.data(), is_late=RARELY, queue=st.none() | QUEUES, lock=LOCKS)
    def retry_by_hand(self, data: st.DataObject, is_late: bool, queue: str | None, lock: str | None) -> None:
        self.settle_places()
        job = self.draw_job(data)
        if job is None or job.id in self.model.gone:
            return
        at = self.now_and(HOUR) if is_late else None
        if job.status == WAITING and job.verdict == "waits":
            with pytest.raises(AdjournException):
                self.manager.retry_job_by_id(job.id, at, queue=queue, lock=lock)
            return
        self.manager.retry_job_by_id(job.id, at, queue=queue, lock=lock)
        if job.status in (WAITING, RUNNING):
            self.model.runs_again(job, due=not is_late)
        else:
            self.model.revive({job.id}, {job.id}, due=not is_late)
        job.queue, job.lock = queue or job.queue, lock or job.lock

    @rule(data=st.data(), is_late=RARELY)
    def retry_many(self, data: st.DataObject, is_late: bool) -> None:
        self.settle_places()
        there = [job for job in self.model.jobs.values() if job.id not in self.model.gone]
        ended = [job.id for job in there if job.status not in (WAITING, RUNNING)]
        if not ended:
            return
        chosen = data.draw(st.sets(st.sampled_from(ended), min_size=1, max_size=4), "jobs")
        assert set(self.manager.retry_jobs(chosen, ENDED, delay=HOUR if is_late else 0.0)) == chosen
        self.model.revive(chosen, chosen, due=not is_late)

    @precondition(lambda self: self.flows)
    @rule(data=st.data(), again=st.booleans())
    def end_workflow(self, data: st.DataObject, again: bool) -> None:
        """Cancel a workflow, or run what has failed of it once more."""
        self.settle_places()
        flow = self.draw_flow(data)
        if again:
            self.retry_flow(flow)
        else:
            self.cancel_flow(flow)

    def retry_flow(self, flow: int) -> None:
        expected = self.model.retries_flow(flow)
        assert self.manager.retry_workflow(flow) == len(expected)

    def cancel_flow(self, flow: int) -> None:
        waiting = [job for job in self.model.members(flow) if job.status == WAITING]
        assert self.manager.cancel_workflow(flow) == len(waiting)
        if not self.model.has_ended(flow):
            self.model.cancelled_flows.add(flow)
        self.model.open_flows.discard(flow)
        for job in waiting:
            self.model.ends(job, "cancelled", "workflow")

    @rule(limit=LIMITED, numbers=NUMBERS)
    def set_limit(self, limit: tuple[str, str], numbers: Numbers) -> None:
        scope, name = limit
        where: dict[str, Any] = {{"key": "name"}.get(scope, scope): name}
        rate = None if numbers.rate is None else Rate(numbers.rate, HOUR)
        self.manager.set_limit(**where, concurrency=numbers.concurrency, rate=rate)
        old = self.model.limits.get(limit, Numbers())
        self.model.limits[limit] = numbers
        if old.rate is None:
            # What started without a rate does not count.
            for place in [place for place in self.model.starts if place[:2] == limit]:
                del self.model.starts[place]

    @rule(what=st.sampled_from([("queue", "a"), ("queue", "b"), ("task", "keyed"), ("task", "plain")]))
    def pause_or_resume(self, what: tuple[str, str]) -> None:
        scope, name = what
        verb = "resume" if what in self.model.paused else "pause"
        assert getattr(self.manager, f"{verb}_{scope}")(name)
        self.model.paused ^= {what}

    @rule(name=st.sampled_from(["e", "f"]), payload=st.sampled_from(["1", "2"]))
    def send(self, name: str, payload: str) -> None:
        (is_first,) = self.manager.runs.send_events([(name, payload)], 10.0**8)
        assert is_first == (name not in self.model.sent)
        self.model.sent.setdefault(name, payload)

    @rule(limit=st.integers(1, 20))
    def expire(self, limit: int) -> None:
        expired = self.workers[0].manager.expire(limit)
        self.every_job_is_as_promised()
        left = [job for job in self.model.jobs.values() if job.status == WAITING and job.expires == "now"]
        assert expired == limit or not left, "these should have expired"

    @rule()
    def time_passes(self) -> None:
        self.pass_time()
        self.model.time_passes()

    # Workers

    @precondition(lambda self: sum(not worker.is_dead for worker in self.workers) < 4)
    @rule(queues=st.sampled_from([None, None, ["a"]]), takes_batches=st.booleans())
    def start_worker(self, queues: list[str] | None, takes_batches: bool = True) -> None:
        self.workers.append(Simulated(self.worker_manager, queues, takes_batches))

    @rule(
        data=st.data(),
        limit=st.integers(0, 4),
        is_heard=st.sampled_from([True, True, True, False]),
        is_beside_others=RARELY,
    )
    def exchange(self, data: st.DataObject, limit: int, is_heard: bool, is_beside_others: bool = False) -> None:
        """Others may hold jobs that wait, for a moment."""
        worker = self.draw_worker(data)
        told = self.draw_outcomes(data, worker)
        waiting = [job.id for job in self.model.jobs.values() if job.status == WAITING]
        held = data.draw(st.sets(st.sampled_from(waiting), max_size=3), "held") if is_beside_others and waiting else ()
        with self.locked(*held):
            self.ask(worker, told, limit, is_heard=is_heard)

    @rule(data=st.data(), status=st.sampled_from([SUCCEEDED, SUCCEEDED, "failed"]))
    def work(self, data: st.DataObject, status: str) -> None:
        """What a worker does when nothing is in its way."""
        worker = self.draw_worker(data)
        told: list[Outcome] = [Ended(id_, claim, status) for id_, claim in worker.known.items()]
        self.ask(worker, told, 0)
        self.settle_places()
        self.ask(worker, [], 4)

    @rule(data=st.data(), kind=st.sampled_from(["step", "step", "event"]), name=st.sampled_from(["e", "f"]))
    def remember(self, data: st.DataObject, kind: str, name: str) -> None:
        """A run, perhaps one that has lost its job, stores a step or waits for an event."""
        worker = self.draw_worker(data)
        if not worker.past:
            return
        job_id, claim = data.draw(st.sampled_from(sorted(worker.known.items()) * 3 + worker.past), "claim")
        run = Job(id=job_id, queue="", task_name="", claim=claim, worker_id=worker.id)
        job = self.model.jobs[job_id]
        is_mine = self.model.holds(worker.id, HandedBack(job_id, claim))
        if kind == "step":
            call: Callable[[], Any] = lambda: self.manager.runs.store_step(run, StepKind.STEP, name, value=f'"{claim}"')  # noqa: E731
        else:
            call = lambda: self.manager.runs.look_for_event(run, name, None)  # noqa: E731
        if not is_mine:
            with pytest.raises(JobLost):
                call()
        elif kind == "step":
            call()
            job.steps[name] = f'"{claim}"'
        else:
            outcome, payload, _ = call()
            if name in self.model.sent:
                assert (outcome, payload) == ("received", self.model.sent[name])
            else:
                assert outcome == "waits"
                self.ask(worker, [Suspended(job_id, claim, None, name)], 0)

    @rule(data=st.data(), count=st.integers(1, 3), ends=st.sampled_from([True, True, False]), settles=st.booleans())
    def wait_in_a_run(self, data: st.DataObject, count: int, ends: bool, settles: bool) -> None:
        """A run, perhaps one that has lost its job, is to go on when others have ended; it may be lost before it ends."""
        worker = self.draw_worker(data)
        if not worker.past:
            return
        job_id, claim = data.draw(st.sampled_from(sorted(worker.known.items()) * 5 + worker.past), "claim")
        live = [job.id for job in self.model.jobs.values() if job.status in (WAITING, RUNNING) and job.id != job_id]
        others = live * 4 + list(self.model.jobs)
        ids = data.draw(st.lists(st.sampled_from(others), min_size=1, max_size=count, unique=True), "jobs")
        self.wait_for(worker, job_id, claim, ids, ends=ends)
        if settles:
            self.settle_places()

    def wait_for(self, worker: Simulated, job_id: int, claim: int, ids: list[int], *, ends: bool = True) -> None:
        job, run = self.model.jobs[job_id], Job(id=job_id, queue="", task_name="", claim=claim, worker_id=worker.id)
        is_mine = self.model.holds(worker.id, HandedBack(job_id, claim))
        what = self.model.waits_in_run(job, set(ids))
        if what == "missing":
            with pytest.raises(NoResult):
                self.manager.runs.wait_for_jobs(run, ids)
        elif what == "ended":
            found = self.manager.runs.wait_for_jobs(run, ids)
            assert [(each.id, each.status) for each in found] == [(id_, self.model.jobs[id_].status) for id_ in ids]
        elif not is_mine:
            with pytest.raises(JobLost):
                self.manager.runs.wait_for_jobs(run, ids)
        else:
            with pytest.raises((InvalidOption, JobSuspended)) as raised:
                self.manager.runs.wait_for_jobs(run, ids)
            assert isinstance(raised.value, InvalidOption) or what in ("waits", "perhaps"), "it waits in a circle"
            assert isinstance(raised.value, JobSuspended) or what in ("circle", "perhaps"), "there is no circle"
            if isinstance(raised.value, JobSuspended):
                self.model.notes(job, set(ids), claim)
                if ends:
                    self.ask(worker, [Suspended(job_id, claim, None, None, True)], 0)

    @rule(data=st.data())
    def place(self, data: st.DataObject) -> None:
        manager = self.draw_worker(data).manager
        if data.draw(RARELY):
            rest = None
            while (rest := manager.heal(rest, 1)[1]) is not None:
                pass
        manager.place(data.draw(st.sampled_from([1, 200])))

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """A worker that has connected anew gives back what it does not know."""
        worker = self.draw_worker(data)
        lost = [job for job in self.held_by(worker) if worker.known.get(job.id) != job.claim]
        assert set(worker.manager.disown(worker.id, worker.known.items())) == {job.id for job in lost}
        self.model.frees(lost)

    @precondition(lambda self: sum(not worker.is_dead for worker in self.workers) > 1)
    @rule(data=st.data(), is_rescued=st.sampled_from([True, True, False]))
    def die(self, data: st.DataObject, is_rescued: bool) -> None:
        """A worker is declared dead; it may not know that yet."""
        worker = self.draw_worker(data)
        worker.manager.unregister_worker(worker.id)
        worker.is_dead = True
        if is_rescued:
            self.rescue()

    @rule()
    def rescue(self) -> None:
        lost = [job for worker in self.workers if worker.is_dead for job in self.held_by(worker)]
        rescued, failed = self.workers[0].manager.rescue(LIVES, 0.0).counts
        assert rescued + failed == len(lost)
        spent = {job.id for job in lost if job.max_attempts is not None and job.attempts >= job.max_attempts}
        for job in lost:
            job.deaths += 1
            job.attempts += 1
        spent |= {job.id for job in lost if job.deaths >= LIVES}
        found = {job.id: job.status for job in self.manager.list_jobs()}
        self.model.frees(job for job in lost if found[job.id] == WAITING)
        for job in lost:
            assert (found[job.id] == "failed") == (job.id in spent), f"job {job.id} has {job.attempts} attempts"
            if found[job.id] == "failed":
                self.model.ends(job, "failed")

    @precondition(lambda self: any(not worker.is_dead and worker.queues is None for worker in self.workers))
    @rule()
    def settle(self) -> None:
        """A worker takes all that it gets: nothing that could run is left."""
        worker = [each for each in self.workers if not each.is_dead and each.queues is None][-1]
        self.settle_places()
        for _ in range(30):
            exchanged = self.ask(worker, [], 100)
            placed = worker.manager.place(200)
            if not (exchanged.claimed or exchanged.repeat or placed):
                break
        else:
            raise AssertionError("it never ends")
        self.model.wakes()
        self.every_job_is_as_promised()
        if worker.apart is None:
            assert self.model.could_run() == [], "these could run, and nobody runs them"

    # What must hold

    @invariant()
    def every_job_is_as_promised(self) -> None:
        found = {job.id: job for job in self.manager.list_jobs()}
        assert found.keys() == self.model.jobs.keys() - self.model.gone, "a job was lost, doubled, or not deleted"
        for job in self.model.jobs.values():
            if job.id in self.model.gone:
                continue
            seen = found[job.id]
            if seen.status == "cancelled" and job.status == WAITING:
                # Others may have had it cancelled, one after the other.
                continue
            assert seen.status == job.status, f"job {job.id} is {seen.status}, and should be {job.status}"
            known = (job.claim, job.queue, job.lock, job.attempts)
            assert (seen.claim, seen.queue, seen.lock, seen.attempts) == known, f"job {job.id}"
            assert (seen.reason is None) == (job.cause is None), f"job {job.id} says {seen.reason}, and not {job.cause}"
            assert job.status != RUNNING or seen.worker_id == job.worker
        self.learn_of_cancelled(found)

    def learn_of_cancelled(self, found: dict[int | None, Job]) -> None:
        """Note which jobs were cancelled because of others, or of their terms, and check that there was a reason."""
        gone = [job for job in self.model.jobs.values() if job.id not in self.model.gone]
        cancelled = [job for job in gone if job.status == WAITING and found[job.id].status == "cancelled"]
        causes = {job.id: cause_of(found[job.id], job) for job in cancelled}
        while cancelled:
            justified = [job for job in cancelled if self.model.may_be_cancelled(job, causes[job.id])]
            assert justified, f"jobs {causes} were cancelled for nothing"
            for job in justified:
                self.model.ends(job, "cancelled", causes[job.id])
            cancelled = [job for job in cancelled if job not in justified]

    def teardown(self) -> None:
        if self.workers and sys.exc_info()[0] is None:  # otherwise a promise was broken already
            self.everything_ends()

    def everything_ends(self) -> None:
        """All are dead but one, who finds every job in the end."""
        for what in list(self.model.paused):
            self.pause_or_resume(what)
        for event in ("e", "f"):
            self.send(event, "1")
        for worker in self.workers:
            worker.manager.unregister_worker(worker.id)
            worker.is_dead = True
        self.rescue()
        self.start_worker(None)
        worker = self.workers[-1]
        for _ in range(3 * len(self.model.jobs) + 5):
            self.time_passes()
            told: list[Outcome] = [Ended(id_, claim, SUCCEEDED) for id_, claim in worker.known.items()]
            self.ask(worker, told, 3, room=3)
            worker.manager.place(200)
            self.every_job_is_as_promised()
            if not self.model.left():
                break
        assert not self.model.left(), f"jobs {self.model.left()} never run"
        self.workflows_are_counted()
        for flow in sorted(self.model.open_flows):
            assert self.manager.close_workflow(flow)
        self.model.open_flows.clear()
        worker.manager.place(200)
        self.workflows_are_counted()
        assert all(not limit.held and not limit.waiting for limit in self.manager.list_limits())

    def workflows_are_counted(self) -> None:
        for flow in self.flows:
            state = self.manager.get_workflow(flow)
            found = (state.jobs, state.remaining, state.failed, state.is_open, state.has_ended)
            assert found == self.model.flow_is(flow), f"workflow {flow}"
            found_so = (state.status, state.cancelled)
            assert found_so == (self.model.status_of(flow), self.model.cancelled_of(flow)), f"workflow {flow}"

    # Steps

    def ask(
        self, worker: Simulated, told: list[Outcome], limit: int, *, is_heard: bool = True, room: int = 100
    ) -> Exchanged:
        """Exchange, compare the answer with what was promised, and have the worker learn of it, if it hears it."""
        running = len(worker.known.keys() - {each.id for each in told})
        exchanged = worker.manager.exchange(
            worker.id,
            told,
            limit=limit,
            queues=worker.queues,
            concurrency=room,
            running=running,
            apart=worker.apart,
            batches=json.dumps(BATCHES) if worker.takes_batches else None,
        )
        assert exchanged.refused == self.model.hears(worker.id, told), (
            "a stale outcome was stored, or a good one refused"
        )
        assert not exchanged.held
        claimed = [self.model.jobs[job.id or 0] for job in exchanged.jobs]
        assert not (claimed and worker.is_dead), "a worker that was declared dead got a job"
        if any(job.awaits for job in claimed):
            self.model.wakes()
        if any(job.verdict == "waits" for job in claimed):
            # What they waited for was cancelled in this exchange, as it had expired.
            self.learn_of_cancelled({job.id: job for job in self.manager.list_jobs()})
        for job, each in zip(exchanged.jobs, claimed, strict=True):
            assert worker.queues is None or each.queue in worker.queues
            self.model.claims(worker.id, each, job.claim)
            steps = {
                name: step.value
                for (kind, name), step in self.manager.runs.list_steps(job).items()
                if kind is StepKind.STEP
            }
            assert steps == each.steps, f"job {job.id} does not know what it has done"
        self.model.check_limits(claimed)
        if is_heard:
            for outcome in told:
                worker.known.pop(outcome.id, None)
            worker.known |= {job.id: job.claim for job in exchanged.jobs if job.id is not None}
            worker.apart = exchanged.apart
            worker.past += [claim for claim in worker.known.items() if claim not in worker.past]
        return exchanged

    def settle_places(self) -> None:
        """Make due what is due, and place until there is nothing to place."""
        worker = self.workers[0]
        self.ask(worker, [], 0)
        for _ in range(30):
            if not worker.manager.place(200):
                break
        self.model.wakes()
        self.every_job_is_as_promised()
        assert self.model.must_be_cancelled() == [], "these should have been cancelled"
        self.workflows_are_counted()

    def held_by(self, worker: Simulated) -> list[Known]:
        return [job for job in self.model.jobs.values() if job.status == RUNNING and job.worker == worker.id]

    def now_and(self, seconds: float) -> Any:
        """A time so many seconds from now."""
        return self.manager.get_time() + datetime.timedelta(seconds=seconds)

    # Choosing

    def draw_job(self, data: st.DataObject) -> Known | None:
        """Choose a job, rather one that waits or runs."""
        jobs = [job for job in self.model.jobs.values() if job.id not in self.model.gone]
        live = [job for job in jobs if job.status in (WAITING, RUNNING)]
        return data.draw(st.sampled_from(live * 3 + jobs), "job") if jobs else None

    def draw_flow(self, data: st.DataObject) -> int:
        """Choose a workflow, rather one that has not ended."""
        left = [flow for flow in self.flows if not self.model.has_ended(flow)]
        return data.draw(st.sampled_from(left * 2 + self.flows), "workflow")

    def draw_worker(self, data: st.DataObject) -> Simulated:
        """Choose a worker, rather one that is alive."""
        alive = [worker for worker in self.workers if not worker.is_dead]
        zombies = [worker for worker in self.workers if worker.known and worker.is_dead]
        return data.draw(st.sampled_from(alive * 2 + zombies), "worker")

    def draw_outcomes(self, data: st.DataObject, worker: Simulated) -> list[Outcome]:
        if not worker.past:
            return []
        known = st.sampled_from(sorted(worker.known.items()) * 3 + worker.past)
        chosen = data.draw(st.lists(known, max_size=3, unique_by=lambda each: each[0]), "jobs")
        return [data.draw(self.outcomes(*each), "outcome") for each in chosen]

    def outcomes(self, job_id: int, claim: int) -> st.SearchStrategy[Any]:
        mine = st.just(job_id), st.just(claim)
        ended = st.builds(
            lambda status, is_deleted: Ended(job_id, claim, status, is_deleted=is_deleted),
            st.sampled_from([SUCCEEDED, SUCCEEDED, "failed", "aborted"]),
            RARELY,
        )
        retried = st.builds(
            Retried,
            *mine,
            retry_in=st.sampled_from([None, None, HOUR]),
            queue=st.sampled_from([None, None, "a", "b"]),
            lock=LOCKS,
        )
        suspended = st.builds(Suspended, *mine, st.just(HOUR))
        return ended | ended | retried | st.builds(HandedBack, *mine) | suspended


class InMemory(Machine):
    """In memory, where a claim alone decides."""

    is_memory = True

    def reset(self) -> tuple[BaseConnector, Any]:
        self.store = MemoryStore()
        connector = SyncInMemoryConnector(store=self.store)
        connector.open()
        return connector, connector.session()

    def pass_time(self) -> None:
        # Workers live on.
        self.store.advance(datetime.timedelta(seconds=LATER))


class InPostgres(Machine):
    """In Postgres, where it is not the time that passes but everything that happened earlier."""

    given: BaseConnector
    session: Any
    observer: psycopg.Connection
    deletions: bytes

    def reset(self) -> tuple[BaseConnector, Any]:
        self.observer.execute(self.deletions)
        return self.given, self.session

    @contextlib.contextmanager
    def locked(self, *ids: int) -> Iterator[None]:
        with self.observer.transaction():
            self.observer.execute("select from adjourn.adjourn_jobs where id = any(%s) for update", [list(ids)])
            yield

    def pass_time(self) -> None:
        for table, column in (
            ("jobs", "scheduled_at"),
            ("jobs", "expires_at"),
            ("steps", "until"),
            ("starts", "at"),
            ("due_rates", "at"),
        ):
            self.observer.execute(
                f"update adjourn.adjourn_{table} set {column} = {column} - interval '{LATER} s'".encode()
            )
        # A job that is run again expires when it would have.
        self.observer.execute(
            "update adjourn.adjourn_finished_jobs set special = jsonb_set(special, '{expires_at}', to_jsonb("
            f"(special ->> 'expires_at')::timestamptz - interval '{LATER} s')) where special ? 'expires_at'".encode()
        )


def run(machine: type[Machine], **options: Any) -> None:
    """Have hypothesis look for what breaks a promise."""
    options = {"max_examples": EXAMPLES, "stateful_step_count": STEPS, **options}
    run_state_machine_as_test(
        machine, settings=settings(deadline=None, suppress_health_check=list(HealthCheck), **options)
    )


@contextlib.contextmanager
def machine_in_postgres(dsn: str, tables: list[str], observer: psycopg.Connection) -> Iterator[type[InPostgres]]:
    """Make a machine, each of which begins with an empty database."""
    # Each example has the same ids, so that hypothesis can repeat it.
    sequences = [f"select setval('adjourn.adjourn_{table}_id_seq', 1, false);" for table in ("jobs", "workers")]
    deletions = "".join([*(f"delete from {table};" for table in tables), *sequences]).encode()
    connector = SyncPsycopgConnector(dsn, min_size=1, max_size=2, options="-c lock_timeout=5s")
    with contextlib.ExitStack() as closing:
        connector.open()
        closing.callback(connector.close)
        session = connector.session()
        closing.callback(session.close)
        parts = {"given": connector, "session": session, "observer": observer, "deletions": deletions}
        yield type("Found", (InPostgres,), parts)


@pytest.mark.timeout(1200)
def test_in_postgres_all_of_it_holds_whatever_is_done(
    dsn: str, tables: list[str], observer: psycopg.Connection
) -> None:
    with machine_in_postgres(dsn, tables, observer) as machine:
        run(machine)


def test_in_postgres_the_scenes_go_as_they_should(dsn: str, tables: list[str], observer: psycopg.Connection) -> None:
    with machine_in_postgres(dsn, tables, observer) as machine:
        for each in SCENES.values():
            play(machine(), each)


def test_in_memory_the_scenes_go_as_they_should() -> None:
    for each in SCENES.values():
        play(InMemory(), each)


@pytest.mark.timeout(600)
def test_in_memory_all_of_it_holds_whatever_is_done() -> None:
    run(InMemory)


BREAKS = {
    "a place above a lowered limit counts": ("lacks_place", "or p_slot not between 0 and p_concurrency - 1", ""),
    "places are handed on below a lowered limit": (
        "free_slots",
        "where j.limit_id = l.id and j.limit_key = l.key and j.key_slot >= l.concurrency",
        "where false",
    ),
    "a head waits for a place of a job behind it": ("place", "if v_gone is not null then", "if false then"),
    "who ends keeps the place": (
        "end",
        "v_ready := v_ready || @schema.adjourn_free_slots_v1(p_jobs, p_is_callers);",
        "null;",
    ),
    "who moves keeps its place": ("move", "where j.id = any(v_anew);", "where false;"),
    "a free place that was missed is not noted": (
        "serve",
        "where cardinality(asked.slots) > coalesce(taken.number, 0) and",
        "where false and",
    ),
    # Two functions keep jobs of a paused queue from being claimed, so neither is missed alone.
    "jobs of a paused task are claimed": ("refused", "or 'task:' || j.task_name = any(v_paused)", ""),
    "what was paused stays": (
        "place_paused",
        "hold = case when j.unknown_since is not null then @unknown when j.doubts >= @apart_from then @apart else @ready end",
        "hold = j.hold",
    ),
    "starts are forgotten": (
        "start",
        "group by started.id, started.key;",
        "group by started.id, started.key having false;",
    ),
    "what was admitted and has not started is forgotten": (
        "room",
        "j.limit_key = p_key and j.key_slot is not null and j.worker_id is null",
        "false",
    ),
    "a failed parent counts as success": (
        "tell_dependents",
        "count(*) filter (where target.status <> 'succeeded')",
        "count(*) filter (where false)",
    ),
    "a child waits for one parent": (
        "tell_dependents",
        "and j.pending <= case when j.run_if >= @begun then t.in_run else t.ended end and",
        "and",
    ),
    "arrivals are lost": (
        "arrive",
        "pending = j.pending - case when j.run_if >= @begun then s.in_run else s.ended end,",
        "pending = j.pending,",
    ),
    "a child runs whatever has failed": (
        "arrive",
        "when c.run_if is null and c.has_failed then 'cancel'",
        "when c.run_if is null and c.pending = 0 and c.failed_parents > 0 then 'release'",
    ),
    "ends before a link are lost": (
        "link",
        "select e.child_id, count(*) filter (where not e.in_run), count(e.what)",
        "select e.child_id, 0, 0",
    ),
    "a workflow does not count what runs again": (
        "revive",
        "remaining = w.remaining + c.jobs, failed",
        "remaining = w.remaining, failed",
    ),
    "who still waits does not wait for a job that runs again": (
        "revive",
        "set pending = j.pending + c.ended,",
        "set pending = j.pending,",
    ),
    "what was cancelled because of a job that runs again stays so": (
        "family",
        "where c.status = 'cancelled' and c.special ->> 'cause' in ('jobs', 'needless')",
        "where false",
    ),
    "what was cancelled by hand comes back": (
        "family",
        "where c.status = 'cancelled' and c.special ->> 'cause' in ('jobs', 'needless')",
        "where c.status = 'cancelled'",
    ),
    "a job comes back although another one has failed": ("family", "exit when v_more is null;", "exit;"),
    "a job that runs again does not wait for its parents": (
        "family",
        "exists (select from @schema.adjourn_jobs j where j.id = n.parent_id offset 0) then 'waits'",
        "false then 'waits'",
    ),
    "the others of a cancelled workflow go on with one that runs again": (
        "revive",
        "is distinct from p_flow and j.worker_id is null",
        "is distinct from p_flow and false",
    ),
    "a job that has expired runs": ("exchange", "and j.expires_at <= now());", "and false);"),
    "a job that has expired stays": (
        "expire_due",
        "where j.expires_at <= p_until and j.worker_id",
        "where false and j.worker_id",
    ),
    "a job runs again after its last attempt": ("rescue", "or j.attempts >= j.max_attempts", ""),
    "a call takes jobs that run already": (
        "pick_batch",
        "and j.is_batch and j.worker_id is null and",
        "and j.is_batch and",
    ),
    "a call takes jobs that wait": ("pick_batch", "and j.hold = @ready and j.is_batch and", "and j.is_batch and"),
    "ends are lost for which a run waits": ("tell_dependents", "filter (where target.in_run)", "filter (where false)"),
    "ends before a run begins to wait are lost": ("link", "count(*) filter (where e.in_run)", "0"),
    "a run waits again for those that it waited for earlier": (
        "wait_for_jobs",
        "d.child_id = p_id and d.in_run;",
        "false;",
    ),
    "runs wait in a circle": ("wait_for_jobs", "looked.id = any(p_ids)", "false"),
    "a run that waits for a job that runs again does not wait for its new end": (
        "family",
        "= t.in_run group",
        "= t.in_run and not t.in_run group",
    ),
    "a job that was cancelled does not count for its workflow": (
        "tell_dependents",
        "count(*) filter (where e.status = 'cancelled')",
        "0",
    ),
    "an end that its workflow was told is noted as well": (
        "tell_dependents",
        "where not exists (select from going_on g where g.id = f.id)",
        "where true",
    ),
    "a workflow is told of its last end, and nobody ends it": ("tell_dependents", "w.remaining > f.ended and", ""),
    "who waits for a job that was not needed counts as cancelled": (
        "arrive",
        "s.failed > s.needless as has_failed",
        "s.failed > 0 as has_failed",
    ),
    "a job that was not needed is a failure": (
        "arrive",
        "- s.needless * (j.run_if is not null)::integer",
        "",
    ),
    "who waits for a job that was not needed runs": (
        "arrive",
        "c.run_if is null and c.failed_parents > 0 or c.run_if",
        "c.run_if",
    ),
    "a job that runs again takes one that was not needed for a failure": (
        "family",
        "f.special ->> 'cause' = 'needless' offset 0",
        "false offset 0",
    ),
    "a job that is run again still counts as cancelled": ("revive", "w.cancelled - c.cancelled", "w.cancelled"),
    "an open workflow ends": ("arrive", "and not w.is_open then", "then"),
    "a workflow that is closed does not end": (
        "close_workflow",
        "insert into @schema.adjourn_arrivals (job_id, ended, failed) values (p_id, 0, 0);",
        "",
    ),
    "a cancelled workflow stays open": ("cancel_workflow", "is_open = false", "is_open = w.is_open"),
    "what is added to a cancelled workflow runs": (
        "store_nodes",
        "u.pending > 0 or v_is_cancelled",
        "u.pending > 0",
    ),
    "what was added to a cancelled workflow stays behind when that is run again": (
        "retry_workflow",
        "null, null, null, false, null, p_id",
        "null, null, null, false, null, null",
    ),
    "an event is lost": ("look_for_event", "if v_payload is not null or", "if"),
    "an event that was noted is lost": (
        "deliver_events",
        "where j.awaited_event = any(v_names) and j.hold + 0 = @scheduled limit p_limit",
        "where false limit p_limit",
    ),
    "a step is forgotten": ("store_step", "set value = excluded.value, claim", "set claim"),
    "a step of a lost run counts": (
        "has_steps",
        "where j.id = p_id and j.claim = p_claim and j.worker_id = p_worker;\n    if not found",
        "where j.id = p_id;\n    if not found",
    ),
    "steps are forgotten when a job fails": ("forget_steps", "(ltrim(ended.status, '-') = 'succeeded' or", "(true or"),
    "two of one key": ("defer_unique", "v_states[v_key] <> all(v_overs[v_at]::text[])\n", "true\n"),
    "a job that is replaced keeps its place": (
        "defer_unique",
        "perform @schema.adjourn_end_v1(v_special, null, null, true);",
        "null;",
    ),
    "a job that is rescued keeps its place from others": ("rescue", "if v_special <> '{}' then", "if false then"),
}
"""What is broken: the function, and what is replaced in it. A scene notices each; hypothesis looks only for what no scene has noticed."""


@pytest.mark.skipif("ADJOURN_TEST_THOROUGH" not in os.environ, reason="takes minutes: scripts/test-all runs it")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("broken", BREAKS)
def test_what_is_broken_is_noticed(broken: str, dsn: str, tables: list[str], observer: psycopg.Connection) -> None:
    name, old, new = BREAKS[broken]
    with changed_function(observer, name, (old, new)), machine_in_postgres(dsn, tables, observer) as machine, noticed():
        for each in SCENES.values():
            play(machine(), each)
        run(machine, **HUNT)
