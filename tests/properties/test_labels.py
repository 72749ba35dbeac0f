"""No label of a metric holds what only one job has: a database of metrics keeps a series for each label that it has ever seen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import adjourn
from adjourn import telemetry
from adjourn._domain.statistics import OTHER
from adjourn.contrib import prometheus
from adjourn.testing import InMemoryConnector

QUEUES = ("default", "mail", "queue \u202e'\"\\\n")
TASKS = ("work", "fails", "slow", "nobody knows")
WORDS = {
    "result": {"stored", "already_enqueued", "error"},
    "outcome": {"succeeded", "failed", "retried", "aborted", "suspended", "returned"},
    "role": {"exchange", "heartbeat"},
    "direction": {"claimed", "stored"},
}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
ARGUMENTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.integers(-(2**63), 2**63)), max_size=3)


@st.composite
def jobs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Jobs with whatever a job may have."""
    one = st.fixed_dictionaries(
        {
            "name": st.sampled_from(TASKS),
            "queue": st.sampled_from(QUEUES),
            "lock": st.none() | TEXTS,
            "queueing_lock": st.none() | TEXTS,
            "priority": st.integers(-9, 9),
            "arguments": ARGUMENTS,
            "message": TEXTS,
        }
    )
    return draw(st.lists(one, min_size=1, max_size=12))


async def store(app: adjourn.App, given_jobs: list[dict[str, Any]]) -> None:
    for job in given_jobs:
        options = {name: job[name] for name in ("queue", "lock", "queueing_lock", "priority")}
        arguments = {"given": job["arguments"], "message": job["message"]}
        try:
            await app.configure_task(job["name"], allow_unknown=True, **options).defer_async(**arguments)
        except adjourn.exceptions.AlreadyEnqueued:
            continue


def declare(app: adjourn.App) -> None:
    @app.task(name="work")
    async def work(given: Any, message: str) -> Any:
        return given

    @app.task(name="slow")
    def slow(given: Any, message: str) -> str:
        return message

    @app.task(name="fails", retry=1)
    async def fails(given: Any, message: str) -> None:
        raise LookupError(message, given)


def labels_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """The values of each label."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            for name, value in sample.labels.items():
                found.setdefault(name, set()).add(value)
    found.pop("le", None)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(jobs())
def test_no_label_of_a_worker_holds_what_one_job_has(given_jobs: list[dict[str, Any]]) -> None:
    async def run() -> dict[str, set[str]]:
        app, registry = adjourn.App(connector=InMemoryConnector()), CollectorRegistry()
        declare(app)
        end = prometheus.instrument(app, registry)
        async with app.open_async():
            await store(app, given_jobs)
            await app.run_worker_async(
                wait=False, install_signal_handlers=False, unknown_task_timeout=0, concurrency=3, name="\u202e worker"
            )
            found = labels_of(registry)
        end()
        return found

    before = telemetry.OBSERVERS
    try:
        found = asyncio.run(run())
    finally:
        telemetry.OBSERVERS = before
    allowed = {**WORDS, "queue": {each["queue"] for each in given_jobs}, "task": {each["name"] for each in given_jobs}}
    assert found.keys() <= allowed.keys()
    for name, values in found.items():
        assert values <= allowed[name], name


@pytest.fixture
def exporter(database: str) -> Iterator[tuple[adjourn.App, CollectorRegistry]]:
    app, registry = adjourn.App(connector=adjourn.PsycopgConnector(database)), CollectorRegistry()
    declare(app)
    collector = prometheus.DatabaseCollector(app)
    collector._exports._interval = 0
    registry.register(collector)
    yield app, registry
    collector.close()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(given_jobs=jobs())
def test_no_label_of_the_exporter_holds_what_one_job_has(
    exporter: tuple[adjourn.App, CollectorRegistry], observer: psycopg.Connection, given_jobs: list[dict[str, Any]]
) -> None:
    app, registry = exporter
    before = labels_of(registry)

    async def run() -> None:
        async with app.open_async():
            await store(app, given_jobs)
            observer.execute("select adjourn.adjourn_place_v1(100)")
            # Some are left as they are, and some run.
            await app.run_worker_async(
                queues=["mail"], wait=False, install_signal_handlers=False, unknown_task_timeout=0
            )

    asyncio.run(run())
    names = {"queue": {*QUEUES, OTHER}, "task": {*TASKS, OTHER}}
    states = {
        "ready",
        "running",
        "scheduled",
        "blocked",
        "unplaced",
        "apart",
        "unknown",
        "succeeded",
        "failed",
        "retried",
    }
    for name, values in labels_of(registry).items():
        new = values - before.get(name, set())
        assert new <= names.get(name, states), name
    assert before.keys() >= {"table", "state"}
