"""The figures of a database, and the slots of workers, as metrics of OpenTelemetry."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import adjourn
from adjourn.contrib.opentelemetry import database as observed
from adjourn.contrib.opentelemetry import observe
from adjourn.exceptions import ConnectorException, InvalidOption
from adjourn.monitor import exports
from adjourn.monitor.reader import Reader
from adjourn.testing import InMemoryConnector
from support.bench import Bench
from support.proxy import proxied
from support.waiting import until, until_async

Points = dict[tuple[str, ...], float]


class Metrics:
    """A provider of a test, and what its reader collects."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader], shutdown_on_exit=False)

    def collect(self) -> dict[str, Points]:
        """The values of each metric of ours that is no histogram, by the values of its attributes, but for the system's."""
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: {
                tuple(value for name, value in point.attributes.items() if name != "messaging.system"): point.value
                for point in metric.data.data_points
            }
            for scope in data.resource_metrics[0].scope_metrics
            for metric in scope.metrics
            if metric.name.startswith("adjourn.") and hasattr(metric.data.data_points[0], "value")
        }


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    metrics = Metrics()
    yield metrics
    metrics.provider.shutdown()


@pytest.fixture
def app(database: str) -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))


@pytest.fixture
def observing(app: adjourn.App, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> Iterator[adjourn.App]:
    """An app whose figures are read anew by each collection."""
    monkeypatch.setattr(observed, "TOGETHER", 0.0)
    end = observe(app, meter_provider=metrics.provider, interval=1)
    (figures,) = observed._observed[metrics.provider]._figures.values()
    figures._exports._interval = 0
    yield app
    end()


def defer_some(app: adjourn.App) -> None:
    app.configure_task("any", queue="mail", allow_unknown=True).batch_defer({}, {}, {})
    app.configure_task("any", queue="mail", schedule_in={"hours": 1}, allow_unknown=True).defer()


def test_the_latency_and_the_jobs_of_queues_are_observed(
    observing: adjourn.App, metrics: Metrics, observer: psycopg.Connection
) -> None:
    assert metrics.collect() == {}
    with observing.open():
        defer_some(observing)
    observer.execute("update adjourn.adjourn_jobs set enqueued_at = now() - interval '5 min'")
    found = metrics.collect()
    assert set(found) == {"adjourn.queue.latency", "adjourn.queue.jobs"}
    (latency,) = found["adjourn.queue.latency"].items()
    assert latency[0] == ("adjourn", "mail")
    assert latency[1] >= 300
    assert found["adjourn.queue.jobs"] == {
        ("adjourn", "mail", "ready"): 3,
        ("adjourn", "mail", "running"): 0,
        ("adjourn", "mail", "scheduled"): 1,
    }


async def test_they_are_observed_of_an_app_that_is_open_on_an_event_loop(
    observing: adjourn.App, metrics: Metrics
) -> None:
    async with observing.open_async():
        await observing.configure_task("any", queue="mail", allow_unknown=True).defer_async()
        found = await asyncio.to_thread(metrics.collect)
        assert found["adjourn.queue.jobs"]["adjourn", "mail", "ready"] == 1
        assert metrics.collect()["adjourn.queue.latency"]["adjourn", "mail"] >= 0  # on the loop's thread, too


def test_all_instruments_are_answered_by_one_read_which_counts_for_a_while(
    app: adjourn.App, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, rows = list[str](), Reader.rows

    def counted(reader: Reader, name: str, *arguments: Any, **parameters: Any) -> Any:
        asked.append(name)
        return rows(reader, name, *arguments, **parameters)

    monkeypatch.setattr(Reader, "rows", counted)
    end = observe(app, meter_provider=metrics.provider)
    again = observe(app, meter_provider=metrics.provider)  # which changes nothing
    with app.open():
        defer_some(app)
    for _ in range(3):
        assert set(metrics.collect()) == {"adjourn.queue.latency", "adjourn.queue.jobs"}
    assert asked.count("latency") == asked.count("states") == 1
    assert "storage" not in asked  # what nobody observes is not read
    again()
    end()
    assert metrics.collect() == {}


def test_there_are_none_while_the_database_does_not_answer(
    database: str, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number from before would look like one of now."""
    monkeypatch.setattr(observed, "TOGETHER", 0.0)
    monkeypatch.setattr(exports, "PATIENCE", 2.0)
    with proxied(database) as (proxy, dsn):
        app = adjourn.App(connector=adjourn.PsycopgConnector(dsn, max_size=2))
        end = observe(app, meter_provider=metrics.provider)
        (figures,) = observed._observed[metrics.provider]._figures.values()
        figures._exports._interval = 0
        direct = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=2))
        with direct.open():
            defer_some(direct)
        assert metrics.collect() != {}
        proxy.close()
        assert metrics.collect() == {}
        end()


def test_one_read_in_vain_is_enough_for_all_instruments(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = list[object]()

    def refuse(*arguments: object) -> None:
        tried.append(arguments)
        raise ConnectorException("it is away")

    monkeypatch.setattr(exports, "Reader", refuse)
    app = adjourn.App(connector=adjourn.PsycopgConnector("postgresql://nobody@127.0.0.1:1/none"))
    end = observe(app, meter_provider=metrics.provider)
    assert metrics.collect() == {}
    assert len(tried) == 1
    end()


def test_a_forked_child_reads_on_a_connection_of_its_own(
    observing: adjourn.App, metrics: Metrics, observer: psycopg.Connection
) -> None:
    with observing.open():
        defer_some(observing)
    assert metrics.collect() != {}
    (figures,) = observed._observed[metrics.provider]._figures.values()
    ours = figures._exports
    child = os.fork()
    if child == 0:
        is_new = figures._exports is not ours and figures._exports._reader is None
        os._exit(0 if is_new and figures.samples("adjourn_queue_jobs") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert figures._exports is ours
    assert metrics.collect() != {}


def test_what_makes_no_sense_is_refused(app: adjourn.App) -> None:
    with pytest.raises(InvalidOption, match="in-memory"):
        observe(adjourn.App(connector=InMemoryConnector()))
    for options, words in (
        ({"interval": 0}, "interval=0"),
        ({"meter_provider": "console"}, "meter_provider='console': pass a MeterProvider"),
    ):
        with pytest.raises(InvalidOption, match=words):
            observe(app, **options)
    with pytest.raises(InvalidOption, match="app='shop': pass an App"):
        observe("shop")  # type: ignore[arg-type]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_worker_tells_its_slots(metrics: Metrics, instrument: Callable[..., None], is_async: bool) -> None:
    app = adjourn.App(connector=InMemoryConnector())
    instrument(meter_provider=metrics.provider)
    go = threading.Event()
    async_go = asyncio.Event()

    @app.task(name="long")
    async def long() -> None:
        await async_go.wait()

    @app.task(name="blocking")
    def blocking() -> None:
        go.wait(30)

    assert metrics.collect() == {}
    async with app.open_async():
        task = long if is_async else blocking
        await task.defer_async()

        async def tells(busy: int, free: int) -> bool:
            return metrics.collect().get("adjourn.worker.slots") == {("busy",): busy, ("free",): free}

        async with Bench(app).working(concurrency=3):
            await until_async(lambda: tells(1, 2))
            go.set()
            async_go.set()
            await until_async(lambda: tells(0, 3))
        assert "adjourn.worker.slots" not in metrics.collect()


def test_a_worker_of_a_program_that_blocks_tells_its_slots_too(
    metrics: Metrics, instrument: Callable[..., None]
) -> None:
    app = adjourn.App(connector=InMemoryConnector())
    instrument(meter_provider=metrics.provider)
    seen = list[Any]()

    @app.task(name="look")
    def look() -> None:
        until(lambda: "adjourn.worker.slots" in metrics.collect())
        seen.append(metrics.collect()["adjourn.worker.slots"])

    with app.open():
        look.defer()
        app.run_worker(wait=False, concurrency=2)
    assert seen == [{("busy",): 1, ("free",): 1}]
