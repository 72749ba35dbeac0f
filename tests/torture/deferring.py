"""Defers jobs of all kinds in both colours, and writes down what was answered."""

from __future__ import annotations

import itertools
import os
import random
import time
from dataclasses import dataclass
from typing import Any

import psycopg

import adjourn
from adjourn.exceptions import AlreadyEnqueued, ConnectorException
from torture.ledger import Ledger

QUEUES = ("default", "mail", "reports")
LOCKS = tuple(f"lock {n}" for n in range(6))
QUEUEING_LOCKS = tuple(f"only one {n}" for n in range(4))
QUICK = ("quick_async", "quick_sync")
OTHERS = ("slow_async", "slow_sync", "slow_sync", "flaky_async", "flaky_sync", "fails", "parent_async", "parent_sync")
BATCH = 5
IS_IN_LINE = bool(os.environ.get("TORTURE_IN_LINE"))
"""Whether all jobs are short and have one of two locks, so that workers claim many of one lock at once."""


@dataclass(frozen=True)
class Call:
    """One call of ``defer``: what is deferred, and its key, which no other job has."""

    key: str
    task: str
    options: dict[str, Any]
    asked: float


class Deferring:
    """Chooses what to defer, and defers it.

    Parameters
    ----------
    ledger
        Where the answers are written down.
    chance
        What the choices are made by.
    """

    def __init__(self, ledger: Ledger, chance: random.Random) -> None:
        self._ledger = ledger
        self._chance = chance
        self._numbers = itertools.count()

    def choose(self) -> Call:
        """Choose a task and its options."""
        chance = self._chance
        if IS_IN_LINE:
            in_line = {"queue": "default", "lock": chance.choice(LOCKS[:2]), "priority": 5 * (chance.random() < 0.05)}
            short = chance.choices((*QUICK, "flaky_sync", "fails"), [10, 10, 1, 1])[0]
            return Call(f"{os.getpid()}-{next(self._numbers)}", short, in_line, time.monotonic())
        task = chance.choice(QUICK) if chance.random() < 0.7 else chance.choice(OTHERS)
        options: dict[str, Any] = {"queue": chance.choice(QUEUES)}
        kind = chance.random()
        if kind < 0.3:
            options["lock"] = chance.choice(LOCKS)
        elif kind < 0.4:
            options["queueing_lock"] = chance.choice(QUEUEING_LOCKS)
        elif kind < 0.5:
            options["schedule_in"] = {"seconds": round(chance.uniform(0.2, 2), 3)}
        if chance.random() < 0.15:
            options["priority"] = 5
        return Call(f"{os.getpid()}-{next(self._numbers)}", task, options, time.monotonic())

    # One job

    async def defer_async(self, app: adjourn.App) -> bool:
        """Defer a job, and return whether it was stored."""
        call = self.choose()
        try:
            job = await app.configure_task(call.task, **call.options).defer_async(key=call.key)
        except Exception as error:
            return self._refused([call], error)
        return self._acknowledged([call], [job])

    def defer(self, app: adjourn.App) -> bool:
        """Defer a job, blocking, and return whether it was stored."""
        call = self.choose()
        try:
            job = app.configure_task(call.task, **call.options).defer(key=call.key)
        except Exception as error:
            return self._refused([call], error)
        return self._acknowledged([call], [job])

    # Several jobs in one statement

    async def batch_async(self, app: adjourn.App) -> bool:
        """Defer several jobs at once, and return whether they were stored."""
        calls = self._choose_batch()
        try:
            jobs = await app.job_manager.batch_defer_jobs_async([self._job(app, call) for call in calls])
        except Exception as error:
            return self._refused(calls, error)
        return self._acknowledged(calls, [job.id for job in jobs])

    def batch(self, app: adjourn.App) -> bool:
        """Defer several jobs at once, blocking, and return whether they were stored."""
        calls = self._choose_batch()
        try:
            jobs = app.job_manager.batch_defer_jobs([self._job(app, call) for call in calls])
        except Exception as error:
            return self._refused(calls, error)
        return self._acknowledged(calls, [job.id for job in jobs])

    # In a transaction of the caller's

    async def in_transaction_async(self, app: adjourn.App, connection: psycopg.AsyncConnection) -> bool:
        """Defer a job on the caller's connection, and commit or roll back; return whether nothing went wrong."""
        call = self._choose_for_transaction()
        try:
            configured = app.configure_task(call.task, connection=connection, **call.options)
            job = await configured.defer_async(key=call.key)
            if self._chance.random() < 0.5:
                await connection.rollback()
                self._ledger.write("rolled_back", key=call.key)
                return True
            await connection.commit()
        except Exception as error:
            return self._refused([call], error)
        return self._acknowledged([call], [job])

    def in_transaction(self, app: adjourn.App, connection: psycopg.Connection) -> bool:
        """Defer a job on the caller's connection, blocking, and commit or roll back; return whether nothing went wrong."""
        call = self._choose_for_transaction()
        try:
            job = app.configure_task(call.task, connection=connection, **call.options).defer(key=call.key)
            if self._chance.random() < 0.5:
                connection.rollback()
                self._ledger.write("rolled_back", key=call.key)
                return True
            connection.commit()
        except Exception as error:
            return self._refused([call], error)
        return self._acknowledged([call], [job])

    # What they share

    def _choose_batch(self) -> list[Call]:
        calls = [self.choose() for _ in range(BATCH)]
        for call in calls:
            call.options.pop("queueing_lock", None)  # one that is taken would refuse all
        return calls

    def _choose_for_transaction(self) -> Call:
        call = self.choose()
        call.options.pop("queueing_lock", None)  # one that waits for another transaction may wait for ever
        return call

    @staticmethod
    def _job(app: adjourn.App, call: Call) -> Any:
        job = app.configure_task(call.task, **call.options).job
        return job.evolve(task_kwargs={"key": call.key})

    def _acknowledged(self, calls: list[Call], jobs: list[int | None]) -> bool:
        for call, job in zip(calls, jobs, strict=True):
            options = call.options
            self._ledger.write(
                "acknowledged",
                job=job,
                key=call.key,
                asked=call.asked,
                lock=options.get("lock"),
                priority=options.get("priority", 0),
                queueing_lock=options.get("queueing_lock"),
                is_scheduled="schedule_in" in options,
            )
        return True

    def _refused(self, calls: list[Call], error: Exception) -> bool:
        """Write down that calls have raised, and return whether the database answered."""
        is_taken = isinstance(error, AlreadyEnqueued)
        # Of an outage it is not known whether the jobs were stored: the answer may have been lost.
        is_outage = isinstance(error, ConnectorException | psycopg.OperationalError)
        event = "refused" if is_taken else "unknown" if is_outage else "strange"
        for call in calls:
            self._ledger.write(event, key=call.key, asked=call.asked, error=f"{type(error).__name__}: {error}")
        return is_taken
