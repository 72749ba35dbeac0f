"""Limits and pauses of queues, tasks and keys."""

from __future__ import annotations

import contextlib
import datetime
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adjourn import sql
from adjourn._async.connectors.contract import AsyncConnectorSource
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._domain.checks import check_name
from adjourn._domain.jobs import Job
from adjourn._domain.pauses import pause_parameters
from adjourn._domain.spelling import hint
from adjourn._domain.times import time_of, time_or_none
from adjourn._runtime.callers import caller_stacklevel
from adjourn.exceptions import AppNotOpen, InvalidOption
from adjourn.limits import UNSET, Limit, LimitState, Pause, Rate, Scope, checked_rates


class AsyncLimits(AsyncStatementRunner):
    """Pauses queues and tasks, and sets limits. What it does is stored, and holds for all workers at once, until it is taken back.

    Parameters
    ----------
    connector
        Executes the statements.
    schema
        The database schema that holds adjourn's tables.
    """

    def __init__(self, connector: AsyncConnectorSource, schema: str = sql.DEFAULT_SCHEMA) -> None:
        super().__init__(connector, schema)
        self._known: set[str] = set()
        self.declares: Callable[[], Mapping[tuple[Scope, str], Limit]] = dict
        """Returns the limits that the program declares."""

    async def pause_queue_async(
        self,
        queue: str,
        *,
        seconds: float | None = None,
        until: datetime.datetime | None = None,
        reason: str | None = None,
        connection: Any = None,
    ) -> bool:
        """Start no more jobs of a queue. Jobs that run go on, and jobs can still be deferred.

        Pausing what is paused gives it the new end and the new reason.

        Parameters
        ----------
        queue
            The queue.
        seconds
            For how many seconds from now; None (the default) for no end, unless there is ``until``.
        until
            Until this aware datetime, by the database's clock; one that has come ends the pause at once. None (the default): see ``seconds``.
        reason
            Why, which `list_pauses_async` and the dashboard show; up to 1,000 characters. None (the default) for none.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        bool
            Whether this has changed something: it was not paused, or until another time, or for another reason.

        Raises
        ------
        InvalidOption
            If it cannot be the name of a queue, both ends are given, or one of the others is not valid.
        """
        check_name("queue", queue)
        return await self._pause_async("queue", queue, seconds, until, reason, connection)

    async def resume_queue_async(self, queue: str, connection: Any = None) -> bool:
        """Start jobs of a queue again, and return whether it was paused. It takes the name that `pause_queue_async` takes, and the caller's
        own connection."""
        check_name("queue", queue)
        return await self._resume_async("queue", queue, connection)

    async def pause_task_async(
        self,
        name: str,
        *,
        seconds: float | None = None,
        until: datetime.datetime | None = None,
        reason: str | None = None,
        connection: Any = None,
    ) -> bool:
        """Start no more jobs of a task, in any queue. Jobs that run go on, and jobs can still be deferred.

        Parameters
        ----------
        name
            The task's name.
        seconds, until, reason
            For how long, and why, as `pause_queue_async` takes them.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        bool
            Whether this has changed something.

        Raises
        ------
        InvalidOption
            If it cannot be the name of a task, both ends are given, or one of the others is not valid.
        """
        check_name("name", name)
        return await self._pause_async("task", name, seconds, until, reason, connection)

    async def resume_task_async(self, name: str, connection: Any = None) -> bool:
        """Start jobs of a task again, and return whether it was paused. It takes the name that `pause_task_async` takes, and the caller's own
        connection."""
        check_name("name", name)
        return await self._resume_async("task", name, connection)

    async def _pause_async(
        self,
        scope: Scope,
        name: str,
        seconds: float | None,
        until: datetime.datetime | None,
        reason: str | None,
        connection: Any,
    ) -> bool:
        said = pause_parameters(seconds, until, reason, self.note)
        return bool(await self.run_async("pause", {"scope": scope, "names": [name], "pause": True, **said}, connection))

    async def _resume_async(self, scope: Scope, name: str, connection: Any) -> bool:
        said = pause_parameters(None, None, None, None)
        return bool(
            await self.run_async("pause", {"scope": scope, "names": [name], "pause": False, **said}, connection)
        )

    async def list_pauses_async(self) -> list[Pause]:
        """Return what is paused: queues, schedules (`pause_schedule_async`), then tasks, by name."""
        rows = await self.run_async("list_pauses", {})
        return [
            Pause(**{**row, "paused_at": time_of(row["paused_at"]), "ends_at": time_or_none(row["ends_at"])})
            for row in rows
        ]

    async def set_limit_async(
        self,
        *,
        queue: str | None = None,
        task: str | None = None,
        name: str | None = None,
        concurrency: int | None = UNSET,
        rate: Rate | list[Rate] | None = UNSET,
    ) -> bool:
        """Give a limit other numbers, or set a new one. It holds until `reset_limit_async`, whatever programs declare.

        Jobs that run when the number becomes smaller go on.

        A queue or a task may be named before it has jobs, so any name is taken. A ``name`` that no program has declared so far is taken,
        too, for jobs that come; a `UserWarning` says so.

        Parameters
        ----------
        queue, task, name
            What it is for, exactly one of them: a queue, a task, or each key of the limits with this name (by default, the name of
            the task that has the limit).
        concurrency
            How many jobs run at once; None for any number. Default: as it was.
        rate
            How many jobs start in a period, or several such rates; None for any number. Default: as it was.

        Returns
        -------
        bool
            Whether this has changed something.

        Raises
        ------
        InvalidOption
            If not exactly one of ``queue``, ``task`` and ``name`` is given, neither ``concurrency`` nor ``rate`` is, or a value is not
            valid.
        """
        scope, place = _place(queue=queue, task=task, key=name)
        if concurrency is UNSET and rate is UNSET:
            raise InvalidOption("Pass concurrency, rate or both; None lifts the limit.")
        if concurrency is UNSET or rate is UNSET or scope == "key":
            limits = await self.list_limits_async()
            old = next((each for each in limits if (each.scope, each.name) == (scope, place)), None)
            here = [declared for kind, declared in self.declares() if kind == "key"]
            if scope == "key" and old is None and place not in here:
                known = here + [each.name for each in limits if each.scope == "key"]
                message = f"name={place!r}: no program has declared a limit with a key of this name so far{hint(place, known)}"
                warnings.warn(message, UserWarning, stacklevel=caller_stacklevel())
            concurrency = (None if old is None else old.concurrency) if concurrency is UNSET else concurrency
            rate = (None if old is None else list(old.rate)) if rate is UNSET else rate
        if concurrency is not None:
            Limit(concurrency=concurrency)
        rates = checked_rates(rate)
        return bool(await self._store_async(scope, place, concurrency, rates, declared=False))

    async def reset_limit_async(
        self, *, queue: str | None = None, task: str | None = None, name: str | None = None
    ) -> bool:
        """Take back what `set_limit_async` has set: what programs declare holds again, or nothing.

        Parameters
        ----------
        queue, task, name
            Which limit, as `set_limit_async` takes them.

        Returns
        -------
        bool
            Whether it had been set.

        Raises
        ------
        InvalidOption
            If not exactly one of them is given.
        """
        scope, place = _place(queue=queue, task=task, key=name)
        (row,) = await self.run_async("reset_limit", {"scope": scope, "name": place})
        return bool(row["changed"])

    async def list_limits_async(self) -> list[LimitState]:
        """Return all limits, with how many jobs have a place under each, and how many wait for one."""
        return [
            LimitState(
                scope=row["scope"],
                name=row["name"],
                concurrency=row["concurrency"],
                rate=tuple(Rate(int(number), seconds) for number, seconds in json.loads(row["rates"] or "[]")),
                declared=row["declared"],
                held=row["held"],
                waiting=row["waiting"],
            )
            for row in await self.run_async("list_limits", {})
        ]

    async def declare_async(self, declared: Mapping[tuple[Scope, str], Limit]) -> dict[tuple[Scope, str], Limit]:
        """Store the limits that a program declares. The newest declaration wins, and what was set by hand over both.

        Parameters
        ----------
        declared
            The limits, by what they are for and the name.

        Returns
        -------
        dict
            Those that are not stored, because another transaction changes them and has not ended. They are not waited for.
        """
        return {
            (scope, name): limit
            for (scope, name), limit in sorted(declared.items())
            if await self._store_async(scope, name, limit.concurrency, limit.rate, declared=True) is None
        }

    async def declare_new_async(self, jobs: Sequence[Job]) -> None:
        """Store the limits of jobs that this program has not stored before. The caller's transaction would keep everybody else who
        needs a new limit waiting, so this is one of its own; if the app is not open, there is none.

        Parameters
        ----------
        jobs
            The jobs.
        """
        for job in jobs:
            limit = None if job.limit is None else job.limit.limit
            if limit is None or job.limit is None or job.limit.name is None or job.limit.name in self._known:
                continue
            with contextlib.suppress(AppNotOpen):
                if not await self.declare_async({("key", job.limit.name): limit}):
                    self._known.add(job.limit.name)

    async def _store_async(
        self, scope: str, name: str, concurrency: int | None, rates: tuple[Rate, ...], *, declared: bool
    ) -> bool | None:
        written = json.dumps([[rate.limit, rate.period] for rate in rates]) if rates else None
        parameters = {"scope": scope, "name": name, "concurrency": concurrency, "rates": written, "declared": declared}
        (row,) = await self.run_async("set_limit", parameters)
        changed: bool | None = row["changed"]
        return changed


def _place(**names: Any) -> tuple[Scope, str]:
    """Return what a limit is for, and the name."""
    given = {scope: name for scope, name in names.items() if name is not None}
    if len(given) != 1:
        raise InvalidOption("Pass exactly one of queue, task and name.")
    ((scope, name),) = given.items()
    check_name("name" if scope == "key" else scope, name)
    places: dict[str, Scope] = {"queue": "queue", "task": "task", "key": "key"}
    return places[scope], name
