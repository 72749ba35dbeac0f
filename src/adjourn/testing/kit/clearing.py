"""Forget what other tests have left: `clear`."""

from __future__ import annotations

from typing import Any

from adjourn._async.managers.drain import AsyncDrains
from adjourn._sync.managers.drain import SyncDrains
from adjourn.app import App
from adjourn.testing.kit.places import awaited_place, blocking_place
from adjourn.worker.options import check_app

__all__ = ["clear", "clear_async"]


def clear(app: App, *, connection: Any = None) -> None:
    """Delete all jobs, workers and schedules of an app, whatever their state. Blocks.

    This is for a database of tests: nothing is left of it, and nobody is asked.

    Parameters
    ----------
    app
        The app.
    connection
        Your own connection, whose transaction this joins. Default: None, the app's.
    """
    check_app(app)
    with blocking_place(app, connection):
        SyncDrains(app.connector, app.job_manager.schema).clear()


async def clear_async(app: App, *, connection: Any = None) -> None:
    """Delete all jobs, workers and schedules of an app, whatever their state. See `clear`."""
    check_app(app)
    with awaited_place(app, connection):
        await AsyncDrains(app.connector, app.job_manager.schema).clear_async()
