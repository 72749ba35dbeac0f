"""The in-memory connector does what Postgres does: the same random operations on both, and what can be seen of them."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import attrs
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adjourn import sql
from adjourn._domain.checks import WAITS_FOR
from adjourn._domain.outcomes import Attempt, Ended, Exchanged, HandedBack, Outcome, Result, Retried, Suspended, Unknown
from adjourn._domain.runs import StepKind
from adjourn._domain.workflows import Planned
from adjourn._sync.managers.exchange import SyncWorkerManager
from adjourn._sync.managers.runs import SyncRuns
from adjourn._sync.managers.trial import SyncOneSession
from adjourn.connector import BaseConnector
from adjourn.connectors import SyncPsycopgConnector
from adjourn.events import DeadWorker
from adjourn.exceptions import AdjournException, AlreadyEnqueued, InvalidOption, JobSuspended
from adjourn.jobs import Job
from adjourn.manager import JobManager
from adjourn.testing import MemoryStore, SyncInMemoryConnector
from adjourn.types import Row
from properties import memory_strategies as strategies
from support.sessions import OTHER_SESSIONS

CHANNEL = sql.channel(sql.DEFAULT_SCHEMA)
ENDS = sql.ends_channel(sql.DEFAULT_SCHEMA)
Told: TypeAlias = Callable[["Side"], Outcome]
"""What has become of a job, in the words of one of the two databases."""
NOBODY = 10**9
"""An id that nothing has."""
THIS_CENTURY = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""The model's ticks are of 1970; what a database calls now comes later than this."""
NAMES = st.sampled_from(["e", "f"])
"""The names of steps and of events."""
ATTEMPT = Attempt(1, None, None, datetime.datetime.min, datetime.datetime.min)


class Side:
    """One of the two databases, and how its ids translate: the nth job of one is the nth job of the other."""

    def __init__(self, connector: BaseConnector) -> None:
        self.connector = connector
        connector.open()
        self.manager = JobManager(connector)
        self.session = connector.session()
        self.worker = SyncWorkerManager(self.session, connector.json_loads)
        self.listener = connector.session()
        self.listener.listen(CHANNEL)
        self.ends = connector.session()
        self.ends.listen(ENDS)
        self.jobs: list[int] = []
        self.flows: list[int] = []
        self.workers: list[int] = []

    def now(self) -> datetime.datetime:
        """The time of the database."""
        return datetime.datetime.now(datetime.UTC)

    def at(self, seconds: float | None) -> datetime.datetime | None:
        """A time so many seconds from now."""
        return None if seconds is None else self.now() + datetime.timedelta(seconds=seconds)

    def job(self, number: int) -> int:
        """The id of a job by its number."""
        return self.jobs[number] if 0 <= number < len(self.jobs) else NOBODY

    def number(self, job_id: int | None) -> int | None:
        """The number of a job by its id."""
        return None if job_id is None else self.jobs.index(job_id)

    def numbers(self, job_ids: Iterable[int]) -> list[int]:
        """The numbers of jobs, in order."""
        return sorted(map(self.jobs.index, job_ids))

    def told_ids(self, job_ids: Iterable[int]) -> list[int]:
        """The numbers of jobs that may have been forgotten, in order."""
        return self.numbers(job_id for job_id in job_ids if job_id in self.jobs)

    def seen_death(self, dead: DeadWorker) -> tuple[Any, ...]:
        """A worker that was declared dead, without what may differ."""
        freed, failed = map(self.told_numbers, (dead.freed_ids, dead.failed_ids))
        return self.workers.index(dead.id), dead.name, dead.host, dead.pid, dead.freed, dead.failed, freed, failed

    def flow(self, number: int) -> int:
        """The id of a workflow by its number."""
        return self.flows[number] if 0 <= number < len(self.flows) else NOBODY

    def told_numbers(self, ids: Iterable[int]) -> list[int]:
        """The numbers of jobs and, below zero, of workflows."""
        return sorted(self.jobs.index(id_) if id_ in self.jobs else -1 - self.flows.index(id_) for id_ in ids)

    def worker_id(self, number: int) -> int:
        """The id of a worker by its number."""
        return self.workers[number] if 0 <= number < len(self.workers) else NOBODY

    def seen(self, job: Job) -> Job:
        """A job without what may differ: its ids become numbers, and times, whether there is one."""
        times = {
            name: getattr(job, name) and datetime.datetime.min
            for name in ("scheduled_at", "enqueued_at", "started_at", "finished_at", "result_expires_at", "ready_at")
        }
        errors = tuple(self.seen_error(each) for each in job.errors)
        worker_id = None if job.worker_id is None else self.workers.index(job.worker_id)
        terms = job.terms and attrs.evolve(job.terms, expires_at=job.terms.expires_at and datetime.datetime.min)
        return job.evolve(
            id=self.number(job.id),
            worker_id=worker_id,
            errors=errors,
            terms=terms,
            reason=job.reason and re.sub(r"\d+", lambda id_: self.named(int(id_[0])), job.reason.partition(" by ")[0]),
            **times,
        )

    def named(self, id_: int) -> str:
        """The number of a job or of a workflow, in the text that says why a job was cancelled."""
        return f"job {self.jobs.index(id_)}" if id_ in self.jobs else f"workflow {self.flows.index(id_)}"

    def seen_error(self, error: dict[str, Any]) -> dict[str, Any]:
        """An error without what may differ."""
        worker_id = error.get("worker_id") and self.workers.index(error["worker_id"])
        message = (error.get("message") or "").partition(" by ")[0]
        return {**error, "message": message, "started_at": None, "ended_at": None, "worker_id": worker_id}

    def pass_time(self, seconds: float) -> None:
        """Let time pass at once."""
        raise NotImplementedError

    def heard(self) -> list[str]:
        """What was notified since the last time."""
        raise NotImplementedError

    def told(self) -> list[int]:
        """The numbers of the jobs whose ends were told since the last time."""
        raise NotImplementedError

    def close(self) -> None:
        """Close every connection."""
        self.session.close()
        self.listener.close()
        self.ends.close()
        self.connector.close()


class InMemory(Side):
    """The store in memory."""

    connector: SyncInMemoryConnector

    def now(self) -> datetime.datetime:
        return self.connector.store.now()

    def pass_time(self, seconds: float) -> None:
        self.connector.store.advance(datetime.timedelta(seconds=seconds))
        self.heard()

    def heard(self) -> list[str]:
        return self.listener.wait_for_notifications(0)

    def told(self) -> list[int]:
        return self.told_numbers(int(id_) for each in self.ends.wait_for_notifications(0) for id_ in each.split())


class InPostgres(Side):
    """Postgres, where it is not the time that passes but everything that happened earlier."""

    def __init__(self, dsn: str, observer: psycopg.Connection) -> None:
        super().__init__(SyncPsycopgConnector(dsn, min_size=1, max_size=2))
        self.observer = observer
        # No payload of a worker: those are numbers, too.
        self.marks = map("mark {}".format, itertools.count())

    def pass_time(self, seconds: float) -> None:
        columns = {
            "adjourn_jobs": ("scheduled_at", "enqueued_at", "started_at", "unknown_since", "expires_at"),
            "adjourn_finished_jobs": ("scheduled_at", "enqueued_at", "started_at", "finished_at", "result_expires_at"),
            "adjourn_schedules": ("seen_at",),
            "adjourn_steps": ("until", "at"),
            "adjourn_sent_events": ("sent_at", "expires_at"),
            "adjourn_unique_keys": ("deferred_at", "keep_until"),
            "adjourn_workflows": ("created_at", "finished_at"),
            "adjourn_workers": ("started_at", "last_heartbeat_at", "expires_at"),
        }
        for table, names in columns.items():
            changes = ", ".join(f"{name} = {name} - interval '{seconds} s'" for name in names)
            self.observer.execute(f"update adjourn.{table} set {changes}".encode())
        # A job that is run again may have a time after which it does not begin.
        self.observer.execute(
            "update adjourn.adjourn_finished_jobs set special = jsonb_set(special, '{expires_at}', to_jsonb("
            f"(special ->> 'expires_at')::timestamptz - interval '{seconds} s')) where special ? 'expires_at'".encode()
        )

    def told(self) -> list[int]:
        self.observer.execute("select pg_notify(%s, '0')", [ENDS])
        heard: list[int] = []
        while 0 not in heard:
            heard += [int(id_) for payload in self.ends.wait_for_notifications(10) for id_ in payload.split()]
        return self.told_numbers(id_ for id_ in heard if id_)

    def heard(self) -> list[str]:
        mark = next(self.marks)
        heard: list[str] = []
        self.observer.execute("select pg_notify(%s, %s)", [CHANNEL, mark])
        while True:
            for payload in self.listener.wait_for_notifications(10):
                if payload == mark:
                    return heard
                heard.append(payload)


class Databases(RuleBasedStateMachine):
    """A program and its workers, who ask both databases the same."""

    dsn: str
    observer: psycopg.Connection
    deletions: bytes

    def __init__(self) -> None:
        super().__init__()
        self.observer.execute(self.deletions)
        self.store = MemoryStore()
        in_memory = InMemory(SyncInMemoryConnector(store=self.store))
        self.sides: list[Side] = [in_memory, InPostgres(self.dsn, self.observer)]
        self.claims: list[tuple[int, int, int]] = []
        """The number of the job, the claim, the number of the worker; most of them held no more."""

    def both(self, ask: Callable[[Side], Any]) -> Any:
        """Ask both; return the answer if it is the same."""
        in_memory, in_postgres = [self.answer(side, ask) for side in self.sides]
        assert in_memory == in_postgres
        return in_memory

    def answer(self, side: Side, ask: Callable[[Side], Any]) -> Any:
        try:
            return ask(side)
        except AdjournException as error:
            return type(error)

    # A program

    @rule(new=strategies.jobs())
    def defer(self, new: tuple[Job, float | None]) -> None:
        job, seconds = new

        def ask(side: Side) -> Job:
            stored = side.manager.defer_job(job.evolve(scheduled_at=side.at(seconds)))
            assert stored.id is not None
            side.jobs.append(stored.id)
            return side.seen(stored)

        self.both(ask)

    @rule(new=st.lists(strategies.jobs(), min_size=1, max_size=6))
    def defer_batch(self, new: list[tuple[Job, float | None]]) -> None:
        def ask(side: Side) -> list[Job]:
            jobs = [job.evolve(scheduled_at=side.at(seconds)) for job, seconds in new]
            stored = side.manager.batch_defer_jobs(jobs)
            side.jobs += [job.id for job in stored if job.id is not None]
            return [side.seen(job) for job in stored]

        self.both(ask)

    @rule(new=st.lists(strategies.unique_jobs(), min_size=1, max_size=4))
    def defer_unique(self, new: list[tuple[Job, float | None]]) -> None:
        def ask(side: Side) -> Any:
            jobs = [job.evolve(scheduled_at=side.at(seconds)) for job, seconds in new]
            try:
                deferred = side.manager.defer_jobs(jobs)
            except AlreadyEnqueued as error:
                return side.numbers(error.job_ids)
            side.jobs += [each.id for each in deferred if each.outcome == "stored"]
            return [(side.number(each.id), each.outcome) for each in deferred]

        self.both(ask)

    @rule(limit=st.integers(1, 3))
    def expire(self, limit: int) -> None:
        self.both(lambda side: side.worker.expire(limit))

    @rule(limit=st.integers(1, 3))
    def forget_keys(self, limit: int) -> None:
        """The keys of all jobs that do not count, in pages."""

        def ask(side: Side) -> int:
            forgotten: int = 0
            after: str | None = ""
            while after is not None:
                (row,) = side.connector.execute(sql.statements()["forget_keys"], {"after": after, "limit": limit})
                forgotten, after = forgotten + row["forgotten"], row["last_key"]
            return forgotten

        self.both(ask)

    @rule(new=strategies.jobs(), arguments=st.lists(strategies.jobs(), min_size=1, max_size=4))
    def defer_alike(self, new: tuple[Job, float | None], arguments: list[tuple[Job, float | None]]) -> None:
        def ask(side: Side) -> list[Job]:
            job, seconds = new
            each = [job.task_kwargs for job, _ in arguments]
            stored = side.manager.batch_defer_alike(job.evolve(scheduled_at=side.at(seconds)), each)
            side.jobs += stored.ids
            return [side.seen(job) for job in stored]

        self.both(ask)

    @rule(new=st.lists(strategies.jobs(), min_size=1, max_size=4), is_alone=st.booleans())
    def defer_with_delays(self, new: list[tuple[Job, float | None]], is_alone: bool) -> None:
        """Delays count from the database's now, and before times."""

        def ask(side: Side) -> list[int]:
            rows = [
                {
                    "queue": job.queue,
                    "task_name": job.task_name,
                    "priority": job.priority,
                    "lock": job.lock,
                    "queueing_lock": job.queueing_lock,
                    "args": "{}",
                    "headers": job.headers,
                    "scheduled_at": side.at(-10),
                    "schedule_in": None if seconds is None else float(seconds),
                }
                for job, seconds in new
            ]
            statements = sql.statements()
            if is_alone:
                rows[0].pop("queueing_lock")
                rows[0]["headers"] = rows[0]["headers"] and json.dumps(rows[0]["headers"])
                stored = side.connector.execute(statements["defer_job"], {**rows[0], "own_transaction": False})
            else:
                columns = {name: [row[name] for row in rows] for name in rows[0] if name != "args"}
                parameters = {"args": json.dumps(["{}"] * len(rows)), "columns": json.dumps(columns, default=str)}
                (batch,) = side.connector.execute(statements["defer_jobs"], {**parameters, "own_transaction": True})
                stored = [{"id": id_} for id_ in json.loads(batch["ids"] or "[]")]
            ids = [row["id"] for row in stored]
            side.jobs += ids
            return side.numbers(ids)

        self.both(ask)

    @rule(data=st.data(), abort=st.booleans(), delete=st.booleans(), is_placed=st.booleans())
    def cancel(self, data: st.DataObject, abort: bool, delete: bool, is_placed: bool) -> None:
        number = self.draw_job(data)
        if is_placed:
            self.heal()
            self.place(200)
        self.both(lambda side: side.manager.cancel_job_by_id(side.job(number), abort, delete))

    @rule(
        data=st.data(),
        new=st.lists(
            st.tuples(
                st.sampled_from([None, None, None, 0, 2]),
                st.sets(st.integers(0, 3), max_size=2),
                st.sampled_from([None, None, 1, 2]),
                st.booleans(),
                strategies.jobs(),
            ),
            max_size=4,
        ),
        is_new=st.sampled_from([True, True, False]),
        is_linked=st.sampled_from([True, True, False]),
    )
    def defer_workflow(self, data: st.DataObject, new: list[Any], is_new: bool, is_linked: bool) -> None:
        known = None if is_linked else self.draw_job(data)
        number = data.draw(st.integers(0, len(self.sides[0].flows)), "workflow")

        def ask(side: Side) -> None:
            plans: list[Planned] = []
            for count, parents, run_if, is_named, (job, seconds) in new:
                waits: list[Planned | int] = [plans[each] for each in sorted(parents) if each < len(plans)]
                waits += [] if known is None else [side.job(known)]
                names = [f"{each}" if is_named else None for each in range(len(waits))]
                kwargs = None if count is None else [{"n": each} for each in range(count)]
                job = job.evolve(scheduled_at=side.at(seconds), queueing_lock=None)
                plans.append(Planned(job, kwargs, waits, names, run_if if waits else None))
            flow = None if is_new else side.flow(number)
            stored = side.manager.workflows.store_workflow(plans, None, flow, is_open=is_new and not is_linked)
            if is_new:
                side.flows.append(stored.workflow_id)
            side.jobs += [id_ for ids in stored.ids for id_ in ids]

        self.both(ask)

    @rule(
        data=st.data(),
        change=st.sampled_from(["cancel_workflow", "retry_workflow", "retry_workflow", "close_workflow", "watch"]),
        abort=st.booleans(),
    )
    def change_workflow(self, data: st.DataObject, change: str, abort: bool) -> None:
        number = data.draw(st.integers(0, len(self.sides[0].flows)), "workflow")

        def ask(side: Side) -> Any:
            if change == "watch":
                return len(side.connector.execute(sql.statements()["watch_jobs"], {"ids": [side.flow(number)]}))
            options = {"abort": abort} if change == "cancel_workflow" else {}
            return getattr(side.manager, change)(side.flow(number), **options)

        self.both(ask)

    @rule(data=st.data())
    def watch(self, data: st.DataObject) -> None:
        numbers = [self.draw_job(data) for _ in range(2)]

        def ask(side: Side) -> list[tuple[bool, bool]]:
            rows = side.connector.execute(sql.statements()["watch_jobs"], {"ids": [*map(side.job, numbers)]})
            return sorted((row["id"] == NOBODY, row["has_ended"]) for row in rows)

        self.both(ask)

    @rule(data=st.data(), seconds=strategies.SECONDS, decision=strategies.decisions(), is_placed=st.booleans())
    def retry_by_id(
        self, data: st.DataObject, seconds: float | None, decision: dict[str, Any], is_placed: bool
    ) -> None:
        number = self.draw_job(data)
        if is_placed:
            self.heal()
            self.place(200)
        self.both(lambda side: side.manager.retry_job_by_id(side.job(number), side.at(seconds), **decision))

    @rule(
        data=st.data(),
        change=st.sampled_from(["cancel_jobs", "abort_jobs", "retry_jobs", "delete_jobs"]),
        statuses=st.sets(st.sampled_from(["todo", "doing", "succeeded", "failed", "cancelled", "aborted"]), min_size=1),
    )
    def change_many(self, data: st.DataObject, change: str, statuses: set[str]) -> None:
        numbers = [self.draw_job(data) for _ in range(3)]
        options = {"statuses": sorted(statuses)} if change in ("retry_jobs", "delete_jobs") else {}

        def ask(side: Side) -> list[int]:
            return side.numbers(getattr(side.manager, change)(map(side.job, numbers), **options))

        self.both(ask)

    @rule(
        data=st.data(),
        priority=st.none() | st.integers(-1, 1),
        queue=st.none() | strategies.QUEUES,
        seconds=st.sampled_from([None, None, 0, 600]),
        now=st.booleans(),
    )
    def change(
        self, data: st.DataObject, priority: int | None, queue: str | None, seconds: int | None, now: bool
    ) -> None:
        numbers = [self.draw_job(data) for _ in range(2)]
        is_now = seconds is None and (now or (priority is None and queue is None))

        def ask(side: Side) -> list[int]:
            at = None if seconds is None else side.at(seconds)
            ids = list(map(side.job, numbers))
            changed = side.manager.change_jobs(ids, priority=priority, move_to=queue, schedule_at=at, now=is_now)
            return side.numbers(changed)

        self.both(ask)

    @rule(
        change=st.sampled_from(["cancel_jobs", "retry_jobs", "delete_jobs", "count_jobs"]),
        statuses=st.sets(strategies.STATUSES, min_size=1),
        queue=st.none() | strategies.QUEUES,
        task=st.none() | strategies.TASKS,
        error=st.sampled_from([None, "1.50", "lost"]),
        limit=st.none() | st.integers(0, 2),
    )
    def change_matching(self, change: str, limit: int | None, statuses: set[str], **filters: str | None) -> None:
        options: dict[str, Any] = {} if change == "cancel_jobs" else {"statuses": sorted(statuses)}
        if change != "count_jobs":
            options["limit"] = limit

        def ask(side: Side) -> Any:
            changed = getattr(side.manager, change)(**options, **filters)
            return changed if isinstance(changed, int) else side.numbers(changed)

        self.both(ask)

    @rule(
        statuses=st.none() | st.sets(strategies.STATUSES, min_size=1),
        queue=st.none() | strategies.QUEUES,
        task=st.none() | strategies.TASKS,
        error=st.sampled_from([None, "1.50", "lost"]),
        min_attempts=st.sampled_from([None, 1]),
        waits_for=st.sampled_from([None, None, *WAITS_FOR]),
        newest_first=st.booleans(),
        chosen=st.sets(st.integers(0, 9), max_size=4),
        look=st.integers(1, 4),
        limit=st.integers(1, 3),
    )
    def search(
        self, statuses: set[str] | None, chosen: set[int], look: int, limit: int, newest_first: bool, **filters: Any
    ) -> None:
        def ask(side: Side) -> list[Any]:
            pages, position = [], None
            for _ in range(3):
                page = side.manager.search_jobs(
                    **filters,
                    ids=[side.jobs[number] for number in chosen if number < len(side.jobs)] or None,
                    statuses=None if statuses is None else sorted(statuses),
                    newest_first=newest_first,
                    look=look,
                    limit=limit,
                    after=position,
                )
                pages.append(([side.jobs.index(job.id or 0) for job in page.jobs], page.looked))
                if (position := page.position) is None:
                    break
            return pages

        self.both(ask)

    @rule(
        hours=st.sampled_from([0, 1]),
        queue=st.none() | strategies.QUEUES,
        failed=st.booleans(),
        cancelled=st.booleans(),
        aborted=st.booleans(),
    )
    def delete_old(self, hours: int, queue: str | None, failed: bool, cancelled: bool, aborted: bool) -> None:
        self.both(lambda side: side.manager.delete_old_jobs(hours, queue, failed, cancelled, aborted))

    # Workers

    @initialize()
    def begin(self) -> None:
        """Two workers are there from the beginning, and are not easily taken for dead."""
        for _ in range(2):
            self.register(100_000)

    @rule(timeout=st.sampled_from([60, 100_000]))
    def register(self, timeout: float) -> None:
        for side in self.sides:
            side.workers.append(side.worker.register_worker("one", None, timeout))

    @rule(data=st.data(), is_sure=st.booleans())
    def unregister(self, data: st.DataObject, is_sure: bool) -> None:
        number = self.draw_worker(data)
        if is_sure and number > 1:
            self.both(lambda side: side.worker.unregister_worker(side.worker_id(number)))

    @rule(data=st.data(), timeout=st.sampled_from([60, 100_000]), before=st.sampled_from([0, 0, 1]))
    def beat(self, data: st.DataObject, timeout: float, before: int) -> None:
        number = self.draw_worker(data)
        says = data.draw(st.booleans(), "says what it runs")

        def ask(side: Side) -> Any:
            owned = (job for job in side.manager.list_jobs(status="doing") if job.worker_id == side.worker_id(number))
            said = [(job.id or 0, job.claim - before) for job in owned if says]
            heartbeat = side.worker.heartbeat(side.worker_id(number), timeout, (), said, '{"pid": 1, "host": "h"}')
            return heartbeat.alive, side.numbers(heartbeat.aborts), heartbeat.expired

        self.both(ask)

    @rule(
        data=st.data(),
        limit=st.integers(0, 4),
        queues=st.none() | st.lists(strategies.QUEUES, min_size=1, max_size=2, unique=True),
        busy=st.booleans(),
        probe=st.sampled_from([True, True, False]),
        concurrency=st.integers(1, 8),
        running=st.integers(0, 4),
        apart=st.none() | st.integers(0, 4),
        tasks=st.none() | st.lists(strategies.TASKS, min_size=1, max_size=2, unique=True),
        patience=st.sampled_from([0.0, 1800.0, 10.0**6]),
        listens=st.sampled_from([True, True, False]),
        called=st.booleans(),
        follow=st.sampled_from([0, 1, 3]),
        batches=st.sampled_from([None, '{"one": 3}', '{"one": 2, "two": 4}']),
    )
    def exchange(
        self,
        data: st.DataObject,
        limit: int,
        queues: list[str] | None,
        busy: bool,
        probe: bool,
        concurrency: int,
        running: int,
        apart: int | None,
        tasks: list[str] | None,
        patience: float,
        listens: bool,
        called: bool,
        follow: int,
        batches: str | None,
    ) -> None:
        worker = self.draw_worker(data)
        told = [self.draw_outcome(data, claim) for claim in self.draw_claims(data, worker)]
        self.exchange_at_both(
            *(worker, told, limit, queues, busy, probe, concurrency, running, apart, tasks, patience, listens, called),
            follow,
            batches,
        )

    @rule(data=st.data(), limit=st.integers(1, 4), ends=st.booleans())
    def work(self, data: st.DataObject, limit: int, ends: bool) -> None:
        """What a worker does: end what it has, place what is to be placed, claim more."""
        worker = self.draw_worker(data)
        held = {claim[0]: claim for claim in self.claims if claim[2] == worker} if ends else {}
        self.exchange_at_both(worker, [self.draw_end(data, claim) for claim in held.values()], 0, None, False, True)
        self.both(lambda side: side.worker.place(200))
        self.exchange_at_both(worker, [], limit, None, False, True)

    def exchange_at_both(
        self,
        worker: int,
        told: list[Told],
        limit: int,
        queues: list[str] | None,
        busy: bool,
        probe: bool,
        concurrency: int = 4,
        running: int = 0,
        apart: int | None = None,
        tasks: list[str] | None = None,
        patience: float = 60.0,
        listens: bool = True,
        called: bool = False,
        follow: int = 3,
        batches: str | None = None,
    ) -> None:
        due_in: list[float | None] = []
        begins_to_wait: list[bool] = []

        def ask(side: Side) -> Any:
            outcomes = [outcome(side) for outcome in told]
            begins_to_wait.extend(isinstance(each, Suspended) and each.event is not None for each in outcomes)
            exchanged: Exchanged = side.worker.exchange(
                side.worker_id(worker),
                outcomes,
                limit=limit,
                queues=queues,
                busy=busy,
                probe=probe,
                concurrency=concurrency,
                running=running,
                apart=apart,
                tasks=tasks,
                patience=patience,
                listens=listens,
                called=called,
                follow=follow,
                batches=batches,
            )
            due_in.append(exchanged.due_in)
            jobs = [side.seen(job) for job in exchanged.jobs]
            told_back = exchanged.alive, exchanged.repeat, exchanged.place, exchanged.apart, exchanged.unknown
            return jobs, side.numbers(exchanged.refused), exchanged.held, side.numbers(exchanged.overdue), told_back

        jobs, *_ = self.both(ask)
        self.claims += [(job.id, job.claim, worker) for job in jobs]
        in_memory, in_postgres = due_in
        if in_postgres is not None and in_postgres <= 0.1 and any(begins_to_wait):
            return  # the event may be sent in a transaction that does not see this wait, so Postgres looks again soon
        assert (in_memory is None) == (in_postgres is None)
        assert in_memory is None or in_postgres is None or abs(in_memory - in_postgres) < 30

    @rule(data=st.data(), is_fresh=st.booleans(), limit=st.integers(0, 2))
    def retry(self, data: st.DataObject, is_fresh: bool, limit: int) -> None:
        worker = self.draw_worker(data)
        if is_fresh:
            self.work(data, 4, False)
        told = [self.draw_retry(data, claim) for claim in self.draw_claims(data, worker)]
        self.exchange_at_both(worker, told, limit, None, False, True)

    @rule(data=st.data(), commits=st.booleans(), result=strategies.RESULTS, ttl=strategies.TTLS, keep=st.booleans())
    def complete(self, data: st.DataObject, commits: bool, result: str | None, ttl: float | None, keep: bool) -> None:
        """A task ends its job in a transaction of its own."""
        for number, claim, worker in self.draw_claims(data, self.draw_worker(data))[:1]:

            def ask(side: Side, number: int = number, claim: int = claim, worker: int = worker) -> Any:
                (job,) = side.manager.list_jobs(id=side.job(number)) or [
                    Job(queue="", task_name="", enqueued_at=side.now())
                ]
                run = job.evolve(id=side.job(number), claim=claim, worker_id=side.worker_id(worker))
                runs = SyncRuns(SyncOneSession(side.session, side.connector))
                statements = sql.statements()
                side.session.execute(statements["begin"], {})
                end = "rollback"
                try:
                    runs.complete(run, side.session, result=result, ttl=None if result is None else ttl, keep=keep)
                    end = "commit" if commits else end
                finally:
                    side.session.execute(statements[end], {})
                return runs.ask_completion(run)

            self.both(ask)

    @rule(data=st.data())
    def disown(self, data: st.DataObject) -> None:
        worker = self.draw_worker(data)
        known = [(number, claim) for number, claim, _ in self.draw_claims(data, worker)]
        self.both(
            lambda side: [
                (side.numbers([back.id]), back.claim)
                for back in side.worker.list_unknown_claims(
                    side.worker_id(worker), [(side.job(number), claim) for number, claim in known]
                )
            ]
        )
        self.both(
            lambda side: side.numbers(
                side.worker.disown(side.worker_id(worker), [(side.job(number), claim) for number, claim in known])
            )
        )

    @rule(limit=st.integers(1, 4) | st.just(200))
    def place(self, limit: int) -> None:
        self.both(lambda side: side.worker.place(limit))

    @rule()
    def heal(self) -> None:
        # Where some wait for places, the database notes that, too.
        self.both(lambda side: side.worker.heal(None, 200)[1])

    @rule(max_losses=st.integers(1, 5), grace=st.sampled_from([0, 0, 10**8]))
    def rescue(self, max_losses: int, grace: float) -> None:
        def ask(side: Side) -> Any:
            done = side.worker.rescue(max_losses, grace)
            rescued, failed = map(side.told_numbers, (done.rescued_ids, done.failed_ids))
            deaths = [side.seen_death(each) for each in done.deaths]
            return done.counts, done.dead_workers, done.worker_names, rescued, failed, done.died, deaths

        self.both(ask)

    @rule(max_losses=st.integers(2, 5), timeout=st.sampled_from([60, 100_000]))
    def lose_every_worker(self, max_losses: int, timeout: float) -> None:
        """One claims what it can, all fall silent, and another comes and frees their jobs."""
        self.exchange_at_both(len(self.sides[0].workers) - 1, [], 4, None, False, True)
        self.workers_were_told_the_same()
        self.pass_time(200_000)
        self.register(timeout)
        self.rescue(max_losses, 0)

    @rule(seconds=st.sampled_from([1000, 7200]))
    def pass_time(self, seconds: float) -> None:
        for side in self.sides:
            side.pass_time(seconds)

    # Steps and events

    @rule(data=st.data(), kind=st.sampled_from(StepKind), name=NAMES, value=strategies.RESULTS)
    def step(self, data: st.DataObject, kind: StepKind, name: str, value: str | None) -> None:
        """A run remembers something, looks at what is remembered, or waits for an event."""
        seconds = data.draw(st.sampled_from([600.0, 3600.0]), "seconds")
        for number, claim, worker in self.draw_claims(data, self.draw_worker(data))[:1]:

            def ask(side: Side, number: int = number, claim: int = claim, worker: int = worker) -> Any:
                run = Job(id=side.job(number), queue="", task_name="", claim=claim, worker_id=side.worker_id(worker))
                if kind is StepKind.EVENT:
                    outcome, payload, left = side.manager.runs.look_for_event(
                        run, name, seconds if value is None else None
                    )
                    return outcome, payload, left is None, seen_steps(side, number)
                left = seconds if kind is StepKind.SLEEP else None
                given = (value or "null") if kind is StepKind.STEP else None
                side.manager.runs.store_step(run, kind, name, value=given, seconds=left)
                return seen_steps(side, number)

            self.both(ask)

    @rule(data=st.data())
    def wait_for_others(self, data: st.DataObject) -> None:
        """A run looks whether other jobs have ended, and notes that its job waits for those that have not."""
        others = [self.draw_job(data) for _ in range(data.draw(st.integers(1, 2), "others"))]
        for number, claim, worker in self.draw_claims(data, self.draw_worker(data))[:1]:

            def ask(side: Side, number: int = number, claim: int = claim, worker: int = worker) -> Any:
                run = Job(id=side.job(number), queue="", task_name="", claim=claim, worker_id=side.worker_id(worker))
                try:
                    return [job.status for job in side.manager.runs.wait_for_jobs(run, list(map(side.job, others)))]
                except JobSuspended as suspended:
                    return suspended.jobs

            self.both(ask)

    @rule(
        events=st.lists(st.tuples(NAMES, st.sampled_from(["null", "1", '"x"'])), max_size=3),
        ttl=st.sampled_from([60, 5000]),
    )
    def send(self, events: list[tuple[str, str]], ttl: float) -> None:
        self.both(lambda side: side.manager.runs.send_events(events, ttl))
        self.both(lambda side: [side.manager.runs.get_event(name) for name in ("e", "f")])

    @rule()
    def clear_steps(self) -> None:
        self.both(lambda side: side.manager.runs.clear_steps())

    # The clock

    @rule(
        job=strategies.jobs(), periodic_id=st.sampled_from(["", "x"]), tick=st.integers(0, 3), timezone=st.just("UTC")
    )
    def defer_tick(self, job: tuple[Job, float | None], periodic_id: str, tick: int, timezone: str) -> None:
        def ask(side: Side) -> int | None:
            job_id = side.manager.defer_periodic_job(
                job[0], periodic_id, tick, cron=f"{tick} * * * *", timezone=timezone
            )
            if job_id is not None:
                side.jobs.append(job_id)
            return side.number(job_id)

        self.both(ask)

    @rule(known=st.lists(st.tuples(strategies.TASKS, st.sampled_from(["", "x", "y"])), unique=True, max_size=3))
    def keep_schedules(self, known: list[tuple[str, str]]) -> None:
        self.both(lambda side: sorted(side.manager.keep_schedules(known, 5000)))

    @rule(
        task=strategies.TASKS,
        periodic_id=st.sampled_from(["", "x", "y"]),
        pause=st.booleans(),
        cron=st.sampled_from([None, "@daily"]),
    )
    def pause_schedule(self, task: str, periodic_id: str, pause: bool, cron: str | None) -> None:
        def ask(side: Side) -> Any:
            change = side.manager.pause_schedule if pause else side.manager.resume_schedule
            try:
                changed: Any = change(task, periodic_id, cron=cron)
            except InvalidOption:
                changed = "unknown"
            return changed, sorted((each.scope, each.name, each.periodic_id) for each in side.manager.list_pauses())

        self.both(ask)

    # Looking

    @rule(data=st.data(), filters=strategies.filters(), limit=st.none() | st.integers(0, 3))
    def look(self, data: st.DataObject, filters: dict[str, Any], limit: int | None) -> None:
        number, worker = self.draw_job(data), self.draw_worker(data)
        queueing_lock = data.draw(strategies.QUEUEING_LOCKS)
        is_of_worker = data.draw(st.booleans())
        waits_for = data.draw(st.none() | st.sampled_from(WAITS_FOR))

        def list_jobs(side: Side) -> list[Job]:
            after_id = side.job(number) if number >= 0 else 0
            worker_id = side.worker_id(worker) if is_of_worker else None
            jobs = side.manager.list_jobs(
                **filters,
                queueing_lock=queueing_lock,
                worker_id=worker_id,
                waits_for=waits_for,
                limit=limit,
                after_id=after_id,
            )
            return [side.seen(job) for job in jobs]

        def list_schedules(side: Side) -> list[Row]:
            return [seen_schedule(side, row) for row in side.manager.list_schedules()]

        def list_workers(side: Side) -> list[Any]:
            return [
                (each.name, each.queues, each.alive, each.running, side.told_ids(each.running_jobs), each.details)
                for each in side.manager.list_workers()
            ]

        self.both(list_jobs)
        self.both(list_schedules)
        self.both(list_workers)
        self.both(lambda side: [job.worker_name for job in side.manager.list_jobs(status="doing")])
        self.both(lambda side: side.manager.get_job_status(side.job(number)))
        self.both(lambda side: side.manager.get_result(side.job(number)))
        self.both(lambda side: side.manager.workflows.get_parent_results(side.job(number)))
        self.both(lambda side: [side.seen(job) for job in side.manager.list_jobs(id=side.job(number))])
        self.both(lambda side: side.manager.list_queues(**filters, waits_for=waits_for))
        self.both(lambda side: side.manager.list_tasks(**filters, waits_for=waits_for))
        self.both(lambda side: side.manager.list_locks(**filters, waits_for=waits_for))

    @rule(seconds=st.sampled_from([30, 3000]), queue=st.none() | strategies.QUEUES, task=st.none() | strategies.TASKS)
    def look_for_stalled_jobs(self, seconds: float, queue: str | None, task: str | None) -> None:
        self.both(lambda side: [side.seen(job) for job in side.manager.get_stalled_jobs(None, queue, task, seconds)])

    @invariant()
    def every_job_is_the_same_in_both(self) -> None:
        self.both(lambda side: [side.seen(job) for job in side.manager.list_jobs()])

    @invariant()
    def every_step_is_the_same_in_both(self) -> None:
        self.both(lambda side: [seen_steps(side, number) for number in range(len(side.jobs))])

    @invariant()
    def every_workflow_is_the_same_in_both(self) -> None:
        def ask(side: Side) -> list[Any]:
            found = [side.manager.get_workflow(id_) for id_ in side.flows]
            return [(each.status, each.jobs, each.remaining, each.failed, each.has_ended) for each in found]

        self.both(ask)

    @invariant()
    def workers_were_told_the_same(self) -> None:
        # Which of the hungry workers are chosen is left to chance, and so is how many of them are chosen for two queues at once.
        try:
            self.both(lambda side: [min(2, len(each.split())) if each[:1].isdigit() else each for each in side.heard()])
        except AssertionError as error:
            # Somebody else may be at work in this database.
            workers = self.observer.execute(
                "select name, queues, hungry, details from adjourn.adjourn_workers"
            ).fetchall()
            others = self.observer.execute(f"select pid, query from pg_stat_activity where {OTHER_SESSIONS}").fetchall()
            raise AssertionError(f"{error}\nworkers: {workers}\nsessions: {others}") from error

    @invariant()
    def who_waits_was_told_the_same(self) -> None:
        self.both(lambda side: side.told())

    def teardown(self) -> None:
        with contextlib.ExitStack() as closing:
            for side in self.sides:
                closing.callback(side.close)

    # Choosing

    def draw_job(self, data: st.DataObject) -> int:
        """Choose the number of a job, or of none: rather of one that waits or runs."""
        side = self.sides[0]
        live = [side.jobs.index(row["id"]) for row in self.store.rows() if row["finished_at"] is None]
        anyone = st.integers(-1, len(side.jobs) - 1)
        return data.draw(st.sampled_from(live) | st.sampled_from(live) | anyone if live else anyone, "job")

    def draw_worker(self, data: st.DataObject) -> int:
        """Choose the number of a worker; at the beginning there is none."""
        workers = len(self.sides[0].workers)
        return data.draw(st.integers(max(0, workers - 2), max(0, workers - 1)), "worker")

    def draw_outcome(self, data: st.DataObject, claim: tuple[int, int, int]) -> Told:
        """Choose what has become of a claimed job."""
        ways = [
            self.draw_end,
            self.draw_end,
            self.draw_retry,
            self.draw_hand_back,
            self.draw_unknown,
            self.draw_suspension,
        ]
        draw = data.draw(st.sampled_from(ways))
        return draw(data, claim)

    def draw_end(self, data: st.DataObject, claim: tuple[int, int, int]) -> Told:
        """Choose how a claimed job ends."""
        number, fence, _ = claim
        status, error = data.draw(strategies.FINISHED), data.draw(strategies.ERRORS)
        result, ttl = data.draw(strategies.RESULTS), data.draw(strategies.TTLS)
        stored = None if status != "succeeded" or result is None else Result(result, ttl, lambda: ATTEMPT)
        is_deleted = data.draw(st.sampled_from([False, False, False, True]), "deleted")
        return lambda side: Ended(side.job(number), fence, status, error, stored, is_deleted)

    def draw_retry(self, data: st.DataObject, claim: tuple[int, int, int]) -> Told:
        """Choose how a claimed job is to be run again."""
        number, fence, _ = claim
        seconds, is_delay = data.draw(strategies.SECONDS), data.draw(st.booleans())
        error, values = data.draw(strategies.ERRORS), data.draw(strategies.decisions())

        def retried(side: Side) -> Outcome:
            when: dict[str, Any] = {"retry_in": seconds} if is_delay else {"retry_at": side.at(seconds)}
            return Retried(side.job(number), fence, error, **when, **values)

        return retried

    def draw_hand_back(self, data: st.DataObject, claim: tuple[int, int, int]) -> Told:
        """Hand a claimed job back."""
        number, fence, _ = claim
        return lambda side: HandedBack(side.job(number), fence)

    def draw_unknown(self, data: st.DataObject, claim: tuple[int, int, int]) -> Told:
        """Put back a job whose task the worker does not know."""
        number, fence, _ = claim
        return lambda side: Unknown(side.job(number), fence)

    def draw_suspension(self, data: st.DataObject, claim: tuple[int, int, int]) -> Told:
        """A job sleeps, or waits for an event or for other jobs."""
        number, fence, _ = claim
        if data.draw(st.sampled_from([False, False, True]), "for jobs"):
            return lambda side: Suspended(side.job(number), fence, None, None, for_jobs=True)
        event = data.draw(st.none() | NAMES)
        seconds = data.draw(st.sampled_from([0.0, 600.0, 3600.0]) if event is None else st.none() | st.just(600.0))
        return lambda side: Suspended(side.job(number), fence, seconds, event)

    def draw_claims(self, data: st.DataObject, worker: int) -> list[tuple[int, int, int]]:
        """Choose jobs that were claimed, each once: this worker's latest claims are likely to be held still."""
        if not self.claims:
            return []
        latest = [claim for claim in self.claims if claim[2] == worker][-4:] or self.claims[-4:]
        claims = st.sampled_from(latest) | st.sampled_from(latest) | st.sampled_from(self.claims)
        return data.draw(st.lists(claims, max_size=4, unique_by=lambda claim: claim[0]), "claims")


def seen_schedule(side: Side, row: Row) -> Row:
    """A schedule without what may differ. One that was paused before it was ever due has the time of that as its last tick."""
    last_tick = row["last_tick"] if row["last_tick"] < THIS_CENTURY else None
    paused = row["paused_at"] is not None
    number = side.number(row["last_job_id"])
    return {
        **row,
        "last_tick": last_tick,
        "paused_at": paused,
        "last_job_id": number,
        "seen_at": None,
        "next_tick": None,
    }


def seen_steps(side: Side, number: int) -> list[Any]:
    """What is remembered of a job, without times."""
    steps = side.manager.runs.list_steps(Job(id=side.job(number), queue="", task_name="", claim=2))
    return [(*key, step.value, step.ends_at is None) for key, step in steps.items()]


@pytest.mark.timeout(600)
def test_the_same_operations_lead_to_the_same_in_memory_and_in_postgres(
    dsn: str, tables: list[str], observer: psycopg.Connection
) -> None:
    deletions = "".join(f"delete from {table};" for table in tables).encode()
    machine = type("Machine", (Databases,), {"dsn": dsn, "observer": observer, "deletions": deletions})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60 if "ADJOURN_TEST_THOROUGH" in os.environ else 30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
