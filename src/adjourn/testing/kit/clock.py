"""The time of a test: `travel` lets it pass, and `periodic` defers what is due at a time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from adjourn._async.managers.drain import AsyncDrains
from adjourn._async.managers.ticks import AsyncTicks
from adjourn._domain.jobs import Job
from adjourn._domain.ticks import LastTick, Tick
from adjourn._domain.time_checks import check_aware, delay_seconds
from adjourn._memory.store import MemoryStore
from adjourn._sync.managers.drain import SyncDrains
from adjourn._sync.managers.ticks import SyncTicks
from adjourn.app import App
from adjourn.exceptions import InvalidOption
from adjourn.tasks import Task
from adjourn.testing.kit.places import awaited_place, blocking_place
from adjourn.worker.options import check_app
from adjourn.worker.progress import tick_of

__all__ = ["periodic", "periodic_async", "travel", "travel_async"]

AnyTask = Task[Any, Any, Any]
LastTicks = Mapping[tuple[str, str], LastTick]


def clock_of(app: App) -> Callable[[], datetime.datetime]:
    """Return the function that tells which jobs of an app are due: Python's clock, or the store's in memory."""
    store = getattr(app.connector, "store", None)
    return store.now if isinstance(store, MemoryStore) else python_time


def python_time() -> datetime.datetime:
    """Return the time by Python's clock, which a test may have frozen or moved."""
    return datetime.datetime.now(datetime.UTC)


def travel(app: App, *, connection: Any = None, **delta: float) -> None:
    """Let time pass for the jobs that wait, and for the schedules of periodic tasks. Blocks.

    Their times are moved back by so much: jobs scheduled until then are due, and `periodic` finds the ticks in between.
    No clock is changed. Nothing runs by itself: call `drain`.

    Parameters
    ----------
    app
        The app.
    connection
        Your own connection, in whose transaction the jobs are; see `drain`. Default: None, the app's.
    **delta
        Keywords of `datetime.timedelta`, such as ``hours=1``.

    Raises
    ------
    InvalidOption
        If a keyword is not one of `datetime.timedelta`, or the time is negative.
    """
    seconds = _seconds(app, delta)
    with blocking_place(app, connection):
        SyncDrains(app.connector, app.job_manager.schema).travel(seconds)


async def travel_async(app: App, *, connection: Any = None, **delta: float) -> None:
    """Let time pass for the jobs that wait, and for the schedules of periodic tasks. See `travel`."""
    seconds = _seconds(app, delta)
    with awaited_place(app, connection):
        await AsyncDrains(app.connector, app.job_manager.schema).travel_async(seconds)


def periodic(
    app: App, task: AnyTask | None = None, *, at: datetime.datetime | None = None, connection: Any = None
) -> list[Job]:
    """Defer the jobs of the periodic tasks that are due, as a worker would that starts at this time. Blocks.

    Those ticks are due that came after the last one that was deferred, if they are not too late by the task's ``missed``
    and ``max_delay``. Of a new schedule, the last ten minutes count.

    Parameters
    ----------
    app
        The app.
    task
        Only this task's schedules. Default: None, all.
    at
        The time: an aware datetime, past or future. Default: None, the time by Python's clock; in memory, that of the
        connector.
    connection
        Your own connection, in whose transaction the jobs are; see `drain`. Default: None, the app's.

    Returns
    -------
    list of Job
        The jobs. They wait: call `drain`.

    Raises
    ------
    InvalidOption
        If ``at`` is not an aware datetime.
    """
    now = _time(app, at)
    with blocking_place(app, connection):
        schema = app.job_manager.schema
        ticks = _due(app, task, SyncTicks(app.connector, schema).last_ticks(), now)
        return SyncDrains(app.connector, schema).defer_ticks(ticks, app.job_manager.defer_job)


async def periodic_async(
    app: App, task: AnyTask | None = None, *, at: datetime.datetime | None = None, connection: Any = None
) -> list[Job]:
    """Defer the jobs of the periodic tasks that are due at a time. See `periodic`."""
    now = _time(app, at)
    with awaited_place(app, connection):
        schema = app.job_manager.schema
        ticks = _due(app, task, await AsyncTicks(app.connector, schema).last_ticks_async(), now)
        return await AsyncDrains(app.connector, schema).defer_ticks_async(ticks, app.job_manager.defer_job_async)


def _seconds(app: App, delta: Mapping[str, float]) -> float:
    check_app(app)
    seconds = delay_seconds("travel", delta)
    if seconds < 0:
        raise InvalidOption(f"travel: {delta!r} is negative, and time does not go back.")
    return seconds


def _time(app: App, at: datetime.datetime | None) -> datetime.datetime:
    check_app(app)
    if at is not None:
        check_aware("at", at)
    return clock_of(app)() if at is None else at


def _due(app: App, task: AnyTask | None, last: LastTicks, now: datetime.datetime) -> list[Tick]:
    """Find the ticks that are due, of each schedule the oldest first."""
    ticks: list[Tick] = []
    for key, schedule in app.periodic_registry.periodic_tasks.items():
        if task is not None and schedule.task.name != task.name:
            continue
        place = last.get(key)
        if place is not None and place.is_paused:
            continue
        due = schedule.due(
            None if place is None else place.at, now, app.periodic_defaults.get("max_delay"), is_up=False
        )
        if due.skipped is not None:
            ticks.append(tick_of(schedule, due.skipped, is_skipped=True))
        ticks += [tick_of(schedule, at) for at in due.ticks]
    return ticks
