"""Spans beside those of psycopg's own instrumentation, and in the caller's transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

import adjourn
from support.bench import Bench
from support.spans import Spans

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
