"""A sample app, and what defers through it."""

from __future__ import annotations

import itertools

import adjourn
from adjourn.connector import BaseConnector

_numbers = itertools.count()


def make_app(connector: BaseConnector) -> adjourn.App:
    """Return an app with a task to defer: ``add``, which is told a name."""
    app = adjourn.App(connector=connector)

    @app.task(name="add")
    def add(name: str) -> None:
        """Do nothing: what counts is the job."""

    return app


def add(app: adjourn.App, name: str) -> int:
    """Defer a job with a name, blocking, in a commit of its own: a job with a queueing lock shares none with other threads."""
    return app.tasks["add"].configure(queueing_lock=f"{name} {next(_numbers)}").defer(name=name)


async def add_async(app: adjourn.App, name: str) -> int:
    """Defer a job with a name."""
    return await app.tasks["add"].defer_async(name=name)
