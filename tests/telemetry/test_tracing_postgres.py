"""Spans beside those of psycopg's own instrumentation, and in the caller's transactions."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from opentelemetry import baggage, context
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

import adjourn
from adjourn.contrib.opentelemetry import AdjournInstrumentor
from adjourn.contrib.sqlalchemy import SQLAlchemyConnector
from support.addresses import address
from support.bench import Bench
from support.spans import Spans
from support.waiting import until_async

Instrument = Callable[..., None]


@pytest.fixture
def statements(spans: Spans) -> Iterator[None]:
    PsycopgInstrumentor().instrument(tracer_provider=spans.provider, skip_dep_check=True)
    yield
    PsycopgInstrumentor().uninstrument()


@pytest.mark.parametrize("is_shown", [False, True])
async def test_statements_of_the_worker_itself_have_no_spans_unless_that_is_asked_for(
    database: str, spans: Spans, instrument: Instrument, statements: None, is_shown: bool
) -> None:
    instrument(exchange_spans=is_shown)
    app = adjourn.App(connector=adjourn.PsycopgConnector(database, max_size=4))

    @app.task(name="ask")
    async def ask() -> None:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await connection.execute("select 1 as of_the_task")

    bench = Bench(app)
    often = {"update_heartbeat_interval": 0.05, "fetch_job_polling_interval": 0.05}
    async with app.open_async(), bench.working(**often) as worker:
        await bench.ended(await ask.defer_async())
        beginning = len(spans.ended)
        await asyncio.sleep(0.3)
        idle = spans.ended[beginning:]
        worker.stop()
    assert bool(idle) is is_shown
    inside = [span for span in spans.ended if "of_the_task" in str((span.attributes or {}).get("db.statement"))]
    assert [span.parent and span.parent.span_id for span in inside] == [spans.one("process ask").context.span_id]


async def test_in_a_transaction_of_the_caller_the_span_ends_with_the_statement(
    database: str, spans: Spans, instrument: Instrument
) -> None:
    instrument()
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    async with app.open_async(), await psycopg.AsyncConnection.connect(database) as connection:
        job_id = await app.configure_task("work", connection=connection).defer_async()
        assert (spans.one("defer work").attributes or {})["messaging.message.id"] == str(job_id)
        await connection.commit()
        (job,) = await app.job_manager.list_jobs_async()
        assert list(job.headers or {}) == ["traceparent"]


async def test_a_transaction_of_the_caller_and_a_kill_have_their_trees(
    database: str, spans: Spans, instrument: Instrument, tmp_path: Path
) -> None:
    instrument()
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    marker = tmp_path / "began"

    @app.task(name="work")
    async def work() -> None:
        with spans.tracer.start_as_current_span("inside work"):
            await asyncio.sleep(0)

    bench = Bench(app)
    async with app.open_async():
        with spans.tracer.start_as_current_span("request"):
            async with await psycopg.AsyncConnection.connect(database) as connection:
                await work.configure(connection=connection).defer_async()
                with spans.tracer.start_as_current_span("the rest of the transaction"):
                    await connection.commit()
        await bench.drain()
        assert spans.trees() == OF_A_TRANSACTION
        spans.clear()
        # A worker in a process of its own is killed in the middle of the job, and this one takes it over.
        job_id = await work.defer_async()
        program = DYING.format(dsn=database, marker=str(marker))
        with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
            await until_async(marker.exists)
            process.send_signal(signal.SIGKILL)
        async with bench.working(
            fetch_job_polling_interval=0.1, stalled_worker_timeout=1, update_heartbeat_interval=0.2
        ) as worker:
            await bench.ended(job_id)
            worker.stop()
        assert spans.trees() == OF_A_KILL


OF_A_TRANSACTION = """\
request [INTERNAL]
  defer work [PRODUCER] type=send
    process work [CONSUMER] type=process attempt=1 outcome=succeeded -> defer work
      inside work [INTERNAL]
  the rest of the transaction [INTERNAL]
"""
OF_A_KILL = """\
defer work [PRODUCER] type=send
process work [CONSUMER] type=process attempt=2 outcome=succeeded -> defer work
  inside work [INTERNAL]
"""
DYING = """
import pathlib, time, adjourn
app = adjourn.App(connector=adjourn.PsycopgConnector({dsn!r}))

@app.task(name="work")
def work():
    pathlib.Path({marker!r}).touch()
    time.sleep(100)

with app.open():
    app.run_worker(stalled_worker_timeout=1, update_heartbeat_interval=0.2)
"""


async def test_baggage_of_the_caller_is_nowhere_in_the_database(
    database: str, instrument: Instrument, observer: psycopg.Connection
) -> None:
    for is_captured in (False, True):
        instrument(capture_baggage=is_captured)
        app = adjourn.App(connector=adjourn.PsycopgConnector(database))
        token = context.attach(baggage.set_baggage("user", "jane"))
        async with app.open_async():
            await app.configure_task("work").defer_async()
            await app.configure_task("work").batch_defer_async({}, {})
        context.detach(token)
        AdjournInstrumentor().uninstrument()
        rows = observer.execute("select j::text from adjourn.adjourn_jobs j order by id").fetchall()
        assert [("jane" in text) for (text,) in rows[-3:]] == [is_captured] * 3


async def test_what_a_producer_in_sql_has_written_is_taken_or_left(
    database: str, spans: Spans, instrument: Instrument, observer: psycopg.Connection
) -> None:
    """However large it is."""
    instrument()
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))

    @app.task(name="work")
    async def work() -> None: ...

    bench = Bench(app)
    async with app.open_async():
        for text in (good, good * 200, "0" * 10_240):
            job_id = await app.configure_task("work", headers={"a": "b"}).defer_async()
            observer.execute(
                "update adjourn.adjourn_jobs set headers = jsonb_build_object('traceparent', %s::text) where id = %s",
                [text, job_id],
            )
            await bench.drain()
            assert await bench.status(job_id) == "succeeded"
    taken, *left = spans.named("process work")
    assert taken.parent is not None
    assert f"{taken.parent.span_id:016x}" == "b7ad6b7169203331"
    assert [(span.parent, list(span.links)) for span in left] == [(None, [])] * 2


ASYNCHRONOUS: dict[str, Callable[[str], Any]] = {
    "psycopg": lambda dsn: adjourn.PsycopgConnector(dsn),
    "psycopg2": lambda dsn: adjourn.connectors.AsyncPsycopg2Connector(dsn),
    "sqlalchemy asyncpg": lambda dsn: SQLAlchemyConnector(dsn=address(dsn, "asyncpg")),
    "sqlalchemy psycopg": lambda dsn: SQLAlchemyConnector(dsn=address(dsn, "psycopg")),
}


@pytest.mark.parametrize("name", ASYNCHRONOUS)
async def test_with_each_connector_a_call_and_its_run_are_one_trace(
    database: str, spans: Spans, instrument: Instrument, name: str
) -> None:
    instrument()
    app = adjourn.App(connector=ASYNCHRONOUS[name](database))

    @app.task(name="work")
    async def work() -> None: ...

    async with app.open_async():
        await work.defer_async()
        await work.batch_defer_async({}, {})
        await Bench(app).drain()
    single, *of_batch = spans.named("process work")
    for runs, call in (([single], "defer work"), (of_batch, "defer_batch default")):
        origin = spans.one(call).context
        for run in runs:
            assert run.parent is not None
            assert run.parent.span_id == origin.span_id
            assert [link.context.span_id for link in run.links] == [origin.span_id]
    assert len(of_batch) == 2


CONNECTORS: dict[str, Callable[[str], Any]] = {
    "psycopg": lambda dsn: adjourn.SyncPsycopgConnector(dsn),
    "psycopg2": lambda dsn: adjourn.connectors.Psycopg2Connector(dsn),
}


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_blocking_connector_stores_the_context_too(
    database: str, spans: Spans, instrument: Instrument, name: str
) -> None:
    instrument()
    app = adjourn.App(connector=CONNECTORS[name](database))
    with app.open():
        app.configure_task("work").defer()
        app.configure_task("work").batch_defer({}, {})
        jobs = app.job_manager.list_jobs()
    assert len({(job.headers or {})["traceparent"] for job in jobs}) == 2
    assert [span.name for span in spans.ended] == ["defer work", "defer_batch default"]
