"""Jobs per second of a worker whose features are in use, compared with the same worker and no-op tasks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from common import empty, make_adjourn, measure, parser_of, report, server
from drain import drain

from adjourn.events import JobEnded, JobStarted, JobSucceeded


async def _returns() -> dict[str, int]:
    return {"sum": 3}


async def _passes(call_next: Any, context: Any, worker: Any) -> Any:
    return await call_next()


def with_results(app: Any) -> dict[str, Any]:
    """Each task returns a result, which is stored."""
    app.task(name="returns", store_result=True)(_returns)
    return {"task": "returns"}


def with_middleware(app: Any) -> dict[str, Any]:
    """A middleware of the worker is called around each job."""
    return {"worker_middleware": [_passes]}


def with_events(app: Any) -> dict[str, Any]:
    """The start and the end of each job are told to a subscriber."""
    for kind in (JobStarted, JobSucceeded, JobEnded):
        app.events.subscribe(kind, lambda event: None)
    return {}


FEATURES: dict[str, list[Callable[[Any], dict[str, Any]]]] = {
    "none": [],
    "results": [with_results],
    "a middleware": [with_middleware],
    "events": [with_events],
    "all of these": [with_results, with_middleware, with_events],
}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs of each run (default: %(default)s)")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)

    def run(name: str) -> dict[str, float]:
        app = make_adjourn(dsn)
        options: dict[str, Any] = {"task": "async_noop"}
        for feature in FEATURES[name]:
            options |= feature(app)
        rate, _ = asyncio.run(drain(app, dsn, options.pop("task"), 100, 0, arguments.jobs, **options))
        return {"jobs/s": rate}

    with server() as dsn:
        sides = {name: lambda name=name: run(name) for name in FEATURES}
        found = measure(sides, arguments.repeat, lambda: empty(dsn))
    report("A worker with features in use", found, "jobs/s", arguments.json)


if __name__ == "__main__":
    main()
