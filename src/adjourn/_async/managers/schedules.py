"""The schedules of periodic tasks: their ticks, and which of them are still in use."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from adjourn import exceptions
from adjourn._async.managers.statements import AsyncStatementRunner
from adjourn._async.managers.ticks import AsyncTicks
from adjourn._domain.arguments import check_job
from adjourn._domain.checks import check_filter, check_id, check_name, checked_list, checked_periodic_id
from adjourn._domain.conflicts import QUEUEING_LOCK_INDEX, already_enqueued
from adjourn._domain.cron import Cron
from adjourn._domain.jobs import Job
from adjourn._domain.pauses import pause_parameters
from adjourn._domain.rows import RegisteredSchedule
from adjourn._domain.ticks import Tick, TickOutcome
from adjourn._domain.time_checks import check_aware, check_seconds
from adjourn._domain.times import time_of
from adjourn._runtime import aio as runtime
from adjourn.types import JSONDict

TRY_AGAIN_AFTER = 0.05
"""Seconds between tries to defer a tick that another transaction holds up."""
MOST_TRIES = 200
"""How often such a tick is tried before the caller is told."""


class AsyncSchedules(AsyncStatementRunner):
    """Defers each tick of a periodic task once, and keeps the schedules."""

    async def defer_periodic_job_async(
        self, job: Job, periodic_id: str, defer_timestamp: int, *, cron: str = "", timezone: str = "UTC"
    ) -> int | None:
        """Store the job of one tick of a periodic task, unless that tick or a later one was deferred already.

        If several workers try, exactly one succeeds.

        Parameters
        ----------
        job
            The job, without an id.
        periodic_id
            Tells several schedules of one task apart.
        defer_timestamp
            The tick: seconds since the epoch.
        cron, timezone
            The schedule, to be shown in lists; empty if it is not known.

        Returns
        -------
        int or None
            The job's id; None if the tick was deferred already, or the schedule is paused.

        Raises
        ------
        AlreadyEnqueued
            If a job with the same queueing lock waits already. The tick then counts as deferred.
        InvalidOption
            If ``job`` is not a job, or the tick or the schedule is not valid, or the tick is in the future of the
            database's clock.
        ConnectorException
            If another transaction has held the schedule, or the job's queueing lock, for ten seconds.
        """
        check_job("job", job)
        if job.unique is not None:
            raise exceptions.InvalidOption("job.unique: each tick is deferred once. Give its job a queueing_lock.")
        checked_periodic_id(periodic_id)
        at = _tick(defer_timestamp)
        if cron or timezone != "UTC":
            Cron(cron or "@hourly", timezone)  # refuses what cannot be read
        tick = Tick(periodic_id=periodic_id, cron=cron, timezone=timezone, at=at, job=job)
        ticks = AsyncTicks(self.connector, self.schema)
        for _ in range(MOST_TRIES):
            ((outcome, job_id),) = await ticks.defer_ticks_async([tick])
            if outcome not in (TickOutcome.HELD, TickOutcome.BUSY):
                break
            await runtime.pause(TRY_AGAIN_AFTER)
        else:
            raise exceptions.ConnectorException(
                f"Another transaction holds the schedule {periodic_id!r} of task {job.task_name}, or the queueing lock "
                f"{job.queueing_lock!r}, and has not ended: try again later.",
                sqlstate="55P03",
            )
        if outcome is TickOutcome.TAKEN:
            cause = exceptions.UniqueViolation(constraint_name=QUEUEING_LOCK_INDEX, queueing_lock=job.queueing_lock)
            raise already_enqueued(repr(job.queueing_lock)) from cause
        if outcome is TickOutcome.EARLY:
            raise exceptions.InvalidOption(
                f"defer_timestamp={defer_timestamp!r} is in the future of the database's clock, where it would stop the "
                "schedule until then: pass a time that has come."
            )
        return job_id

    async def get_time_async(self) -> datetime.datetime:
        """Return the database's time, which decides what is due even if the clocks of machines differ.

        Returns
        -------
        datetime.datetime
            Aware.
        """
        (row,) = await self.run_async("get_time", {})
        return time_of(row["now"])

    async def list_schedules_async(self) -> list[RegisteredSchedule]:
        """Return the schedules of periodic tasks that have been due at least once."""
        rows = await self.run_async("list_schedules", {})
        for row in rows:
            row.update({name: time_of(row[name]) for name in ("last_tick", "seen_at", "now")})
            row["paused_at"] = None if row["paused_at"] is None else time_of(row["paused_at"])
            row["next_tick"] = _next_tick(row["cron"], row["timezone"], row.pop("now"))
        return [RegisteredSchedule(row) for row in rows]

    async def pause_schedule_async(
        self,
        task: str,
        periodic_id: str = "",
        *,
        seconds: float | None = None,
        until: datetime.datetime | None = None,
        reason: str | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        connection: Any = None,
    ) -> bool:
        """Defer no more ticks of a schedule. Jobs of it that are stored already run; `pause_task_async` would hold them, too.

        It holds for all workers from the commit on, until its end or `resume_schedule_async`. Then it is as if no worker had been running in between:
        the schedule's ``missed`` and ``max_delay`` say what becomes of the ticks that came.

        Parameters
        ----------
        task
            The name of the periodic task.
        periodic_id
            Tells several schedules of one task apart. Default: empty, as for ``@app.periodic``.
        seconds, until, reason
            For how long, and why, as `pause_queue_async` takes them. Ticks are deferred again within a minute after the end.
        cron, timezone
            The schedule as it is declared. With ``cron``, one that has not been due yet can be paused, too.
        connection
            The caller's own connection, whose transaction this joins.

        Returns
        -------
        bool
            Whether this has changed something: it was not paused, or until another time, or for another reason.

        Raises
        ------
        InvalidOption
            If the database knows no such schedule, and ``cron`` is not given; or if a name, the schedule, an end or the reason is not valid.
        """
        said = pause_parameters(seconds, until, reason, self.note)
        return await self._pause_async(task, periodic_id, cron, timezone, connection, said, pause=True)

    async def resume_schedule_async(
        self,
        task: str,
        periodic_id: str = "",
        *,
        cron: str | None = None,
        timezone: str = "UTC",
        connection: Any = None,
    ) -> bool:
        """Defer ticks of a schedule again, within a minute, and return whether it was paused.

        It takes the parameters of `pause_schedule_async` but for the end and the reason, and raises what that raises.
        """
        said = pause_parameters(None, None, None, None)
        return await self._pause_async(task, periodic_id, cron, timezone, connection, said, pause=False)

    async def _pause_async(
        self,
        task: str,
        periodic_id: str,
        cron: str | None,
        timezone: str,
        connection: Any,
        said: JSONDict,
        *,
        pause: bool,
    ) -> bool:
        check_name("task", task)
        checked_periodic_id(periodic_id)
        if cron is not None:
            Cron(cron, timezone)  # refuses what cannot be read
        parameters = {
            "task_name": task,
            "periodic_id": periodic_id,
            "cron": cron,
            "timezone": timezone,
            "pause": pause,
            **said,
        }
        (row,) = await self.run_async("pause_schedule", parameters, connection)
        if row["outcome"] == "unknown":
            raise exceptions.InvalidOption(
                f"task={task!r}, periodic_id={periodic_id!r}: the database knows no such schedule. `list_schedules` returns those that it "
                "knows. For one that has not been due yet, pass cron=... as it is declared."
            )
        return bool(row["outcome"] == "changed")

    async def keep_schedules_async(self, known: Sequence[tuple[str, str]], seconds: float) -> list[tuple[str, str]]:
        """Record that schedules, given by task name and ``periodic_id``, are still in use, and forget unused ones.

        Parameters
        ----------
        known
            The schedules that this worker uses.
        seconds
            Other schedules are forgotten if no worker has had them for this long.

        Returns
        -------
        list of tuple
            The schedules that were forgotten.

        Raises
        ------
        InvalidOption
            If ``known`` is not a list of pairs, or ``seconds`` is not a duration.
        """
        known = checked_list("known", known, "pairs of a task's name and a periodic_id")
        for each in known:
            if not isinstance(each, tuple | list) or len(each) != 2 or not all(isinstance(name, str) for name in each):
                raise exceptions.InvalidOption(f"known: {each!r} is not a pair of a task's name and a periodic_id.")
            for name in each:
                check_filter("known", name)
        check_seconds("seconds", seconds)
        parameters = {
            "task_names": [task_name for task_name, _ in known],
            "periodic_ids": [periodic_id for _, periodic_id in known],
            "seconds": seconds,
        }
        rows = await self.run_async("keep_schedules", parameters)
        return [(row["task_name"], row["periodic_id"]) for row in rows]


def _tick(defer_timestamp: int) -> datetime.datetime:
    check_id("defer_timestamp", defer_timestamp)
    try:
        tick = datetime.datetime.fromtimestamp(defer_timestamp, datetime.UTC)
    except (ValueError, OverflowError, OSError) as error:
        message = f"defer_timestamp={defer_timestamp!r}: pass seconds since the epoch, within the calendar."
        raise exceptions.InvalidOption(message) from error
    check_aware("defer_timestamp", tick)
    return tick


def _next_tick(cron: str, timezone: str, now: datetime.datetime) -> datetime.datetime | None:
    # A program with another cron syntax, or with other time zones, may have stored it.
    try:
        return Cron(cron, timezone).next(now)
    except ValueError:
        return None
