"""Defers the jobs of this part in both colours, sends their events, and writes down what was answered."""

from __future__ import annotations

import heapq
import itertools
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

import adjourn
from adjourn import Unique
from adjourn.exceptions import AlreadyEnqueued, ConnectorException
from adjourn.jobs import Job
from torture.deferring import LOCKS, QUEUES
from torture.flow import graphs
from torture.flow.shared import NARROW, TENANTS, UNIQUE_KEYS
from torture.ledger import Ledger

SHARE = 0.25
"""How many of all calls are of this part. They store more jobs than others do: a third of all."""
LOT = 4
"""How many jobs of one limit are deferred at once, so that they wait for each other."""
RATED_LOT = 7
KINDS = {"limited": 3, "rated": 1, "unique": 4, "workflow": 2, "story": 3, "effect": 3}
"""How often each kind of call is chosen, in proportion."""
LATEST = 2.0
"""Seconds after which an event is sent at the latest: before or after a job waits for it."""
EVENTS_SENT = 30.0
"""Seconds in which the last events have to be sent."""


@dataclass
class Ask:
    """Something to ask of adjourn: how, and what to write down when it is answered.

    Attributes
    ----------
    keys
        The names of the jobs.
    call, call_async
        Ask, with the connection whose transaction is to be used, or None.
    told
        Writes the answer down.
    unknown
        The event to write down if there is no answer.
    undone
        Called when nothing has come of it, or perhaps nothing.
    facts
        More to write down if there is no answer.
    """

    keys: list[str]
    call: Callable[[Any], Any]
    call_async: Callable[[Any], Awaitable[Any]]
    told: Callable[[Any], None]
    unknown: str = "unknown"
    undone: Callable[[], None] = lambda: None
    facts: dict[str, Any] = field(default_factory=dict)
    asked: float = field(default_factory=time.monotonic)


class FlowDeferring:
    """Chooses what to defer, and defers it.

    Parameters
    ----------
    app
        The app whose tasks they are.
    ledger
        Where the answers are written down.
    chance
        What the choices are made by.
    """

    def __init__(self, app: adjourn.App, ledger: Ledger, chance: random.Random) -> None:
        self._app = app
        self._ledger = ledger
        self._chance = chance
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._events: list[tuple[float, str]] = []

    def is_chosen(self) -> bool:
        """Whether the next call is of this part."""
        return self._chance.random() < SHARE or self.is_event_due()

    # Events, which are sent some time after the jobs that wait for them were deferred

    def is_event_due(self) -> bool:
        """Whether an event is to be sent now."""
        with self._lock:
            return bool(self._events) and self._events[0][0] <= time.monotonic()

    def next_event(self, *, now: bool = False) -> Ask | None:
        """Return the next event that is due, or whichever is next, if there is one."""
        with self._lock:
            if not self._events or not (now or self._events[0][0] <= time.monotonic()):
                return None
            _, name = heapq.heappop(self._events)
        payload = f"{name} sent {next(self._numbers)}"
        ask = Ask(
            [],
            lambda connection: self._app.send_event(name, payload, connection=connection),
            lambda connection: self._app.send_event_async(name, payload, connection=connection),
            lambda is_first: self._write("sent", ask, name=name, payload=payload, is_first=is_first),
            unknown="sent perhaps",
            undone=lambda: self._send_later(name),
            facts={"name": name, "payload": payload},
        )
        return ask

    def _send_later(self, name: str) -> None:
        with self._lock:
            heapq.heappush(self._events, (time.monotonic() + self._chance.uniform(0, LATEST), name))

    # Asking

    def choose(self, *, in_transaction: bool = False) -> Ask:
        """Choose something to ask. In a transaction that is none of unique jobs, since others would wait for its end."""
        if event := self.next_event():
            return event
        weights = {kind: weight for kind, weight in KINDS.items() if not (in_transaction and kind == "unique")}
        kind = self._chance.choices(list(weights), list(weights.values()))[0]
        ask: Ask = getattr(self, f"_{kind}")()
        return ask

    def ask(self, ask: Ask, connection: psycopg.Connection | None = None) -> bool:
        """Ask, blocking, and return whether nothing went wrong. In a transaction it is committed, or rolled back."""
        try:
            answer = ask.call(connection)
            if connection is not None:
                if self._chance.random() < 0.5:
                    connection.rollback()
                    return self._rolled_back(ask)
                connection.commit()
        except Exception as error:
            return self._refused(ask, error)
        ask.told(answer)
        return True

    async def ask_async(self, ask: Ask, connection: psycopg.AsyncConnection | None = None) -> bool:
        """Ask, and return whether nothing went wrong. In a transaction it is committed, or rolled back."""
        try:
            answer = await ask.call_async(connection)
            if connection is not None:
                if self._chance.random() < 0.5:
                    await connection.rollback()
                    return self._rolled_back(ask)
                await connection.commit()
        except Exception as error:
            return self._refused(ask, error)
        ask.told(answer)
        return True

    def _rolled_back(self, ask: Ask) -> bool:
        for key in ask.keys:
            self._ledger.write("rolled_back", key=key)
        if ask.unknown != "unknown":
            self._ledger.write("sent in vain", **ask.facts)
        ask.undone()
        return True

    def _refused(self, ask: Ask, error: Exception) -> bool:
        told = f"{type(error).__name__}: {error}"
        if isinstance(error, AlreadyEnqueued):
            self._write("refused", ask, jobs=error.job_ids, error=told, **ask.facts)
            return True
        # Of an outage it is not known what was stored: the answer may have been lost.
        is_outage = isinstance(error, ConnectorException | psycopg.OperationalError)
        event = ask.unknown if is_outage else "strange"
        for key in ask.keys or [""]:
            self._write(event, ask, key=key, error=told, **ask.facts)
        ask.undone()
        return False

    def _write(self, event: str, ask: Ask, **facts: Any) -> None:
        self._ledger.write(event, asked=ask.asked, **facts)

    # What is asked

    def _key(self) -> str:
        return f"{os.getpid()}-flow-{next(self._numbers)}"

    def jobs(self, jobs: list[Job], undone: Callable[[], None] = lambda: None) -> Ask:
        """Return what asks to store these jobs at once."""
        manager, keys = self._app.job_manager, [str(job.task_kwargs["key"]) for job in jobs]
        ask = Ask(
            keys,
            lambda connection: manager.batch_defer_jobs(jobs, connection),
            lambda connection: manager.batch_defer_jobs_async(jobs, connection),
            lambda stored: self._acknowledged(ask, zip(keys, (job.id for job in stored), strict=True), jobs[0].lock),
            undone=undone,
        )
        return ask

    def _acknowledged(self, ask: Ask, stored: Any, lock: str | None = None, **facts: Any) -> None:
        plain = {"priority": 0, "queueing_lock": None, "is_scheduled": False}
        for key, job in stored:
            self._write("acknowledged", ask, job=job, key=key, lock=lock, **plain, **facts)

    def _limited(self) -> Ask:
        chance = self._chance
        task = chance.choice(["limited_tenant_async", "limited_tenant_sync", "limited_task"])
        tenant = {} if task == "limited_task" else {"tenant": chance.choice(TENANTS)}
        lock = chance.choice(LOCKS) if chance.random() < 0.1 else None
        queue = chance.choice((NARROW, NARROW, *QUEUES))
        configured = self._app.configure_task(task, queue=queue, lock=lock)
        return self.jobs(
            [
                configured.make_new_job(key=self._key(), fails=chance.random() < 0.2, **tenant)
                for _ in range(chance.randint(1, LOT))
            ]
        )

    def _rated(self) -> Ask:
        configured, tenant = self._app.configure_task("rated"), self._chance.choice(TENANTS)
        fails = self._chance.random() < 0.2
        return self.jobs(
            [configured.make_new_job(key=self._key(), tenant=tenant, fails=fails) for _ in range(RATED_LOT)]
        )

    def _unique(self) -> Ask:
        chance, key = self._chance, self._key()
        same, policy = chance.choice(UNIQUE_KEYS), chance.choice(["raise", "skip", "replace"])
        later = {"schedule_in": {"seconds": round(chance.uniform(0.1, 0.5), 3)}} if chance.random() < 0.5 else {}
        configured = self._app.configure_task("unique", unique=Unique(key=same, on_conflict=policy), **later)  # type: ignore[arg-type]
        job = configured.make_new_job(key=key, same=same, fails=chance.random() < 0.2)
        manager = self._app.job_manager
        ask = Ask(
            [key],
            lambda _: manager.defer_jobs([job]),
            lambda _: manager.defer_jobs_async([job]),
            lambda answer: self._told_unique(ask, key, same, answer[0]),
            facts={"same": same, "policy": policy},
        )
        return ask

    def _told_unique(self, ask: Ask, key: str, same: str, deferred: adjourn.Deferred) -> None:
        if deferred.outcome == "stored":
            self._acknowledged(ask, [(key, deferred.id)], same=same)
        else:
            self._write(deferred.outcome, ask, job=deferred.id, key=key, same=same)

    def _workflow(self) -> Ask:
        key = self._key()
        flow, nodes = graphs.make(self._app, key, self._chance)
        ask = Ask(
            list(nodes),
            flow.defer,
            flow.defer_async,
            lambda stored: self._acknowledged(
                ask, [(name, stored.job_ids(node)[n]) for name, (node, n) in nodes.items()]
            ),
        )
        return ask

    def _story(self) -> Ask:
        key = self._key()
        # It may be sent before the job is there, and if that is never told.
        self._send_later(key)
        return self.jobs([self._app.configure_task(self._coloured("story")).make_new_job(key=key)])

    def _effect(self) -> Ask:
        lock = self._chance.choice(LOCKS) if self._chance.random() < 0.3 else None
        queue = self._chance.choice((NARROW, *QUEUES))
        task = self._app.configure_task(self._coloured("effect"), lock=lock, queue=queue)
        return self.jobs([task.make_new_job(key=self._key())])

    def _coloured(self, task: str) -> str:
        return f"{task}_{self._chance.choice(['async', 'sync'])}"
