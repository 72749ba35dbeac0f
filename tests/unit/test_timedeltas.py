"""Wherever seconds are expected, a timedelta is refused with the way to make seconds of it."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import adjourn
from adjourn import testing
from adjourn.batches import Batch
from adjourn.exceptions import InvalidOption, JobRetry
from adjourn.jobs import Job
from adjourn.limits import Rate
from adjourn.monitor import statistics
from adjourn.retry import RetryDecision, RetryStrategy
from adjourn.testing import InMemoryConnector
from adjourn.unique import Unique
from adjourn.worker.options import Options

DELTA: Any = datetime.timedelta(minutes=5)
NOW = datetime.datetime.now(datetime.UTC)
READER: Any = None
"""It is not reached."""
app = adjourn.App(connector=InMemoryConnector())
manager = app.job_manager


@app.task(name="waits", pass_context=True)
def waits(context: adjourn.JobContext, what: str) -> None:
    if what == "sleep":
        context.sleep(DELTA)
    else:
        context.wait_for_event("e", timeout=DELTA)


CALLS: dict[str, Callable[[], object]] = {
    "Rate period": lambda: Rate(10, DELTA),
    "Unique period": lambda: Unique(period=DELTA),
    "Batch wait": lambda: Batch(size=5, wait=DELTA),
    **{
        f"RetryStrategy {name}": functools.partial(RetryStrategy, **{name: DELTA})
        for name in ("wait", "linear_wait", "exponential_wait", "max_wait")
    },
    "RetryDecision retry_in": lambda: RetryDecision(retry_in=DELTA),
    "JobRetry": lambda: JobRetry(RetryDecision(retry_in=DELTA)),
    "task timeout": lambda: app.task(name="a", timeout=DELTA)(print),
    "task result_ttl": lambda: app.task(name="b", result_ttl=DELTA)(print),
    "task expires_in": lambda: app.task(name="c", expires_in=DELTA)(print),
    "app result_ttl": lambda: adjourn.App(connector=InMemoryConnector(), result_ttl=DELTA),
    "periodic max_delay": lambda: adjourn.App(connector=InMemoryConnector(), periodic_defaults={"max_delay": DELTA}),
    "configure schedule_in": lambda: waits.configure(schedule_in=DELTA),
    "configure expires_in": lambda: waits.configure(expires_in=DELTA),
    "a stored job's schedule_in": lambda: manager.defer_job(Job(queue="q", task_name="t", schedule_in=DELTA)),
    "sleep": lambda: testing.perform(waits, what="sleep"),
    "wait_for_event timeout": lambda: testing.perform(waits, what="event"),
    "send_event ttl": lambda: app.send_event("e", ttl=DELTA),
    "get_result timeout": lambda: manager.get_result(1, timeout=DELTA),
    "wait_for_job timeout": lambda: manager.wait_for_job(1, timeout=DELTA),
    "wait_for_jobs timeout": lambda: manager.wait_for_jobs([1], timeout=DELTA),
    "wait_for_workflow timeout": lambda: manager.wait_for_workflow(1, timeout=DELTA),
    "retry_jobs delay": lambda: manager.retry_jobs(queue="q", delay=DELTA),
    "get_stalled_jobs": lambda: manager.get_stalled_jobs(seconds_since_heartbeat=DELTA),
    "prune_stalled_workers": lambda: manager.prune_stalled_workers(DELTA),
    "keep_schedules": lambda: manager.keep_schedules([], DELTA),
    "register_worker": lambda: manager.register_worker(timeout=DELTA),
    "statistics step": lambda: statistics(READER, start=NOW, step=DELTA),
    "response_timeout": lambda: adjourn.PsycopgConnector("postgresql://localhost/x", response_timeout=DELTA),
    **{
        f"worker {field.name}": functools.partial(Options, **{field.name: DELTA})
        for field in attrs.fields(Options)
        if field.metadata and getattr(next(iter(field.metadata.values())), "unit", None) == "seconds"
    },
}
"""What takes seconds, and a call that passes it a timedelta."""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_timedelta_is_refused_with_the_way_to_make_seconds_of_it(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidOption, match=r"timedelta.*total_seconds\(\)"):
        call()


def test_the_worker_has_options_in_seconds() -> None:
    assert sum(name.startswith("worker ") for name in CALLS) > 5
