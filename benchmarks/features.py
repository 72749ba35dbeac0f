"""Jobs per second of a worker whose features are in use, compared with the same worker and no-op tasks."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from common import Found, beside, empty, make_adjourn, measure, parser_of, report, server
from drain import drain

import adjourn
from adjourn.events import JobEnded, JobStarted, JobSucceeded


async def _returns(key: str) -> dict[str, int]:
    return {"sum": 3}


async def _passes(call_next: Any, context: Any, worker: Any) -> Any:
    return await call_next()


def _arguments(number: int) -> dict[str, Any]:
    return {"key": f"{number % KEYS}"}


KEYS = 100
RESULTS = "results"
MIDDLEWARE = "a middleware"
EVENTS = "events"
LIMIT = "a limit"
KEYED = "a limit of each key"
NONE = "none of these"
SIDES = {
    NONE: set[str](),
    "all four": {RESULTS, MIDDLEWARE, EVENTS, LIMIT},
    "all but the limit": {RESULTS, MIDDLEWARE, EVENTS},
    **{each: {each} for each in (RESULTS, MIDDLEWARE, EVENTS, LIMIT, KEYED)},
}


def make(dsn: str, features: set[str]) -> tuple[adjourn.App, str, dict[str, Any]]:
    """Return an app, its task that uses these, and the options of its worker."""
    app = make_adjourn(dsn)
    of_task: dict[str, Any] = {"store_result": True} if RESULTS in features else {}
    if LIMIT in features:  # more than run at once, so that no job waits for a place
        of_task["limits"] = [adjourn.Limit(concurrency=500)]
    if KEYED in features:
        of_task["limits"] = [adjourn.Limit(key="key", concurrency=3)]
    if EVENTS in features:
        for kind in (JobStarted, JobSucceeded, JobEnded):
            app.events.subscribe(kind, lambda event: None)
    # The database keeps the limit of a task, also for runs without one.
    task = "limited" if LIMIT in features else "keyed" if KEYED in features else "unlimited"
    app.task(name=task, **of_task)(_returns)
    return app, task, {"worker_middleware": [_passes]} if MIDDLEWARE in features else {}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs of each run (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    def run(name: str) -> dict[str, float]:
        app, task, options = make(dsn, SIDES[name])
        rate, cpu = asyncio.run(drain(app, dsn, task, 100, 0, arguments.jobs, arguments=_arguments, **options))
        return {"jobs/s": rate, "ms for a job": cpu / 1e3}

    with server() as dsn:
        app, task, _ = make(dsn, {LIMIT})
        asyncio.run(drain(app, dsn, task, 100, 0, 1, arguments=_arguments))  # declares the limit
        sides = {name: lambda name=name: run(name) for name in SIDES}
        found = measure(sides, arguments.repeat, lambda: empty(dsn))

    def table(unit: str) -> Found:
        by_side = found[unit]
        return {name: {"in use": by_side[name], NONE: by_side[NONE]} for name in SIDES if name != NONE}

    report("A worker with features in use", table("jobs/s"), "jobs/s", arguments.json)
    path = beside(arguments.json, "cpu")
    report("CPU of worker and server", table("ms for a job"), "ms for a job", path, digits=3)


if __name__ == "__main__":
    main()
