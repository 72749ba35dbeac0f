"""How the traces of a call and its runs belong together, looked at span by span, and when spans begin and end."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, SamplingResult

import adjourn
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.contrib.opentelemetry import contexts
from support.bench import Bench
from support.spans import Spans

Instrument = Callable[..., None]


def ids(span: ReadableSpan) -> tuple[int, int]:
    """The ids of a span and of its trace."""
    assert span.context is not None
    return span.context.span_id, span.context.trace_id


async def test_a_retry_is_a_root_with_one_link_and_the_first_attempt_a_child_that_is_linked_as_well(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    instrument()

    @app.task(name="fail", retry=adjourn.RetryStrategy(max_attempts=2))
    async def fail() -> None:
        raise LookupError("no")

    with spans.tracer.start_as_current_span("request"):
        await fail.defer_async()
    await bench.drain()
    defer_id, defer_trace = ids(spans.one("defer fail"))
    first, *retries = spans.named("process fail")
    assert first.parent is not None
    assert (first.parent.span_id, ids(first)[1]) == (defer_id, defer_trace)
    assert len(retries) == 2
    for span in retries:
        assert span.parent is None
    assert len({ids(span)[1] for span in (first, *retries)}) == 3
    for number, span in enumerate((first, *retries), 1):
        (link,) = span.links
        assert (link.context.span_id, link.context.trace_id) == (defer_id, defer_trace)
        assert dict(link.attributes or {}) == {"adjourn.job.attempt": number}
        assert (span.attributes or {})["adjourn.job.attempt"] == number


async def test_in_a_thread_the_current_span_is_that_of_the_run(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    instrument()
    seen: list[int] = []

    @app.task(name="look")
    def look() -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    await look.defer_async()
    await bench.drain()
    assert seen == [ids(spans.one("process look"))[0]]


async def test_a_batch_of_any_size_is_one_span(app: adjourn.App, spans: Spans, instrument: Instrument) -> None:
    instrument()
    await app.configure_task("work").batch_defer_async(*({"n": n} for n in range(2_000)))
    (span,) = spans.ended
    assert (span.attributes or {})["messaging.batch.message_count"] == 2_000


async def test_a_span_ends_with_the_body_and_not_when_its_outcome_is_stored(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    instrument()
    store_async = AsyncWorkerManager.exchange_async

    async def late_async(manager: Any, worker_id: int, outcomes: Sequence[Any], **options: Any) -> Any:
        if outcomes:
            spans.tracer.start_span("storing").end()
        return await store_async(manager, worker_id, outcomes, **options)

    monkeypatch.setattr(AsyncWorkerManager, "exchange_async", late_async)

    @app.task(name="work")
    async def work() -> None:
        spans.tracer.start_span("at the end of the body").end()

    await work.defer_async()
    await bench.drain()
    run, body, storing = spans.one("process work"), spans.one("at the end of the body"), spans.one("storing")
    assert (body.end_time or 0) <= (run.end_time or 0) <= (storing.start_time or 0)


class Asked(Sampler):
    """Notes what it is asked, and takes everything."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool, dict[str, Any]]] = []

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        *rest: Any,
        **more: Any,
    ) -> SamplingResult:
        is_root = not trace.get_current_span(parent_context).get_span_context().is_valid
        self.asked.append((name, is_root, dict(attributes or {})))
        return ALWAYS_ON.should_sample(parent_context, trace_id, name, kind, attributes, *rest, **more)

    def get_description(self) -> str:
        return "asked"


async def test_a_sampler_decides_anew_for_a_root_and_knows_the_attributes(
    app: adjourn.App, bench: Bench, instrument: Instrument
) -> None:
    asked = Asked()
    instrument(tracer_provider=Spans(sampler=asked).provider)

    @app.task(name="flaky", queue="q", retry=adjourn.RetryStrategy(max_attempts=1))
    async def flaky() -> None:
        raise LookupError("no")

    job_id = await flaky.defer_async()
    await bench.drain()
    assert [(name, is_root) for name, is_root, _ in asked.asked] == [
        ("defer flaky", True),
        ("process flaky", False),
        ("process flaky", True),
    ]
    for name, _, attributes in asked.asked:
        assert attributes["messaging.destination.name"] == "q"
        assert attributes["adjourn.task.name"] == "flaky"
        assert (attributes.get("messaging.message.id") == str(job_id)) is name.startswith("process")
    assert asked.asked[2][2]["adjourn.job.attempt"] == 2


async def test_malformed_contexts_are_told_once_at_debug(
    app: adjourn.App,
    bench: Bench,
    instrument: Instrument,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contexts, "_malformed", set())
    caplog.set_level(logging.DEBUG, "adjourn.opentelemetry")
    instrument()

    @app.task(name="work")
    async def work() -> None: ...

    for text in ("x", "y", "x"):
        await work.configure(headers={"traceparent": text}).defer_async()
    await bench.drain()
    told = [record for record in caplog.records if record.name == "adjourn.opentelemetry"]
    assert [(record.levelname, record.action) for record in told] == [("DEBUG", "malformed_traceparent")]  # type: ignore[attr-defined]


def test_who_does_not_trace_imports_nothing_of_it() -> None:
    program = (
        "import sys, adjourn, adjourn.worker, adjourn.telemetry\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'sentry_sdk', 'prometheus_client')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_who_is_not_observed_makes_nothing_for_observers(
    app: adjourn.App, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an observer there is one look at whether there is one."""
    monkeypatch.setattr(
        adjourn.telemetry, "OBSERVERS", adjourn.telemetry.Observers()
    )  # Sentry's stays once it was there
    for name in ("Deferral", "RunOfJob"):
        monkeypatch.setattr(adjourn.telemetry, name, None)  # a call of it would raise

    @app.task(name="work")
    async def work() -> None:
        await asyncio.sleep(0)

    job_id = await work.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"
