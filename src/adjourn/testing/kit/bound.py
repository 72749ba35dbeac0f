"""The calls of the testing kit for one app, as the fixtures of the pytest plugin give them to tests."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Unpack

from adjourn._domain.drains import Drained
from adjourn._domain.jobs import Job
from adjourn.app import App
from adjourn.testing.kit import clock, drains, looks
from adjourn.testing.kit.looks import Filters, TaskOrName


class Jobs:
    """The jobs of a test's app.

    Parameters
    ----------
    app
        The app.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def deferred(self, task: TaskOrName | None = None, **filters: Unpack[Filters]) -> list[Job]:
        """Return the jobs that were deferred. See `adjourn.testing.deferred`."""
        return looks.deferred(self.app, task, **filters)

    async def deferred_async(self, task: TaskOrName | None = None, **filters: Unpack[Filters]) -> list[Job]:
        """Return the jobs that were deferred. See `adjourn.testing.deferred`."""
        return await looks.deferred_async(self.app, task, **filters)

    def assert_deferred(
        self, task: TaskOrName | None = None, *, count: int | None = None, **filters: Unpack[Filters]
    ) -> list[Job]:
        """Fail unless such a job was deferred. See `adjourn.testing.assert_deferred`."""
        __tracebackhide__ = True
        return looks.assert_deferred(self.app, task, count=count, **filters)

    async def assert_deferred_async(
        self, task: TaskOrName | None = None, *, count: int | None = None, **filters: Unpack[Filters]
    ) -> list[Job]:
        """Fail unless such a job was deferred. See `adjourn.testing.assert_deferred`."""
        __tracebackhide__ = True
        return await looks.assert_deferred_async(self.app, task, count=count, **filters)

    def refute_deferred(self, task: TaskOrName | None = None, **filters: Unpack[Filters]) -> None:
        """Fail if such a job was deferred. See `adjourn.testing.refute_deferred`."""
        __tracebackhide__ = True
        looks.refute_deferred(self.app, task, **filters)

    async def refute_deferred_async(self, task: TaskOrName | None = None, **filters: Unpack[Filters]) -> None:
        """Fail if such a job was deferred. See `adjourn.testing.refute_deferred`."""
        __tracebackhide__ = True
        await looks.refute_deferred_async(self.app, task, **filters)

    def periodic(self, task: Any = None, *, at: datetime.datetime | None = None) -> list[Job]:
        """Defer the jobs of the periodic tasks that are due at a time. See `adjourn.testing.periodic`."""
        return clock.periodic(self.app, task, at=at)

    async def periodic_async(self, task: Any = None, *, at: datetime.datetime | None = None) -> list[Job]:
        """Defer the jobs of the periodic tasks that are due at a time. See `adjourn.testing.periodic`."""
        return await clock.periodic_async(self.app, task, at=at)


class Drain:
    """Runs the jobs of a test's app.

    Parameters
    ----------
    app
        The app.
    queues
        The queues of a drain that names none; None for all.
    """

    def __init__(self, app: App, queues: Sequence[str] | None) -> None:
        self.app = app
        self._queues = queues

    def __call__(self, **options: Any) -> Drained:
        """Run the jobs that are ready. See `adjourn.testing.drain`."""
        return drains.drain(self.app, **{"queues": self._queues, **options})


class AwaitedDrain(Drain):
    """Runs the jobs of a test's app on the test's event loop."""

    async def __call__(self, **options: Any) -> Drained:  # type: ignore[override]
        """Run the jobs that are ready. See `adjourn.testing.drain_async`."""
        return await drains.drain_async(self.app, **{"queues": self._queues, **options})
