"""Spans from the call that defers a job to its runs."""

from __future__ import annotations

import asyncio
import datetime
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import Span, StatusCode

import adjourn
from adjourn import telemetry
from adjourn._async.managers.exchange import AsyncWorkerManager
from adjourn.contrib.opentelemetry import AdjournInstrumentor
from adjourn.exceptions import AlreadyEnqueued, InvalidOption
from adjourn.jobs import Job
from support.bench import Bench
from support.spans import Spans

GOLDEN = Path(__file__).with_name("span_trees.txt")
Instrument = Callable[..., None]


@pytest.fixture
def work(app: adjourn.App) -> adjourn.tasks.Task[..., None, ...]:
    @app.task(name="work", queue="q")
    def work(n: int = 0) -> None: ...

    return work


# Trees


async def deferred(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("work").defer_async()
    await bench.drain()


async def deferred_in_a_request(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("request"):
        await app.configure_task("work").defer_async()
    await bench.drain()


async def blocking(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("request"):
        await asyncio.to_thread(app.configure_task("block").defer)
    await bench.drain()


async def batch(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("work").batch_defer_async({}, {}, {})
    await bench.drain(concurrency=1)


async def scheduled(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("work", schedule_in={"seconds": 61}).defer_async()
    app.connector.advance(seconds=62)  # type: ignore[attr-defined]
    await bench.drain()


async def due_soon(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("work", schedule_in={"seconds": 59}).defer_async()
    app.connector.advance(seconds=60)  # type: ignore[attr-defined]
    await bench.drain()


async def three_attempts(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("request"):
        await app.configure_task("fail").defer_async()
    await bench.drain()


async def periodic(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    # One tick each time, unless the hour ends within the second that is left over.
    app.periodic(cron="0 * * * *", max_delay=7200)(app.tasks["tick"])
    app.connector.advance(seconds=3601)  # type: ignore[attr-defined]
    await bench.drain()
    app.connector.advance(seconds=3601)  # type: ignore[attr-defined]
    await bench.drain()


async def rescued(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("work").defer_async()
    manager = app.job_manager
    worker = await manager.register_worker_async()
    assert await manager.fetch_job_async(queues=None, worker_id=worker) is not None
    await manager.unregister_worker_async(worker)
    session = await app.connector.session_async()
    assert (await AsyncWorkerManager(session, app.connector.json_loads).rescue_async(5, 0)).counts == (1, 0)
    await bench.drain()


async def aborted(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    job_id = await app.configure_task("endless").defer_async()
    async with bench.working(abort_job_polling_interval=0.02) as running:
        await bench.ended(job_id, "doing")
        await app.job_manager.cancel_job_by_id_async(job_id, abort=True)
        await bench.ended(job_id, "aborted")
        running.stop()


async def returned(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    job_id = await app.configure_task("endless").defer_async()
    async with bench.working(shutdown_graceful_timeout=0) as running:
        await bench.ended(job_id, "doing")
        await bench.until(lambda: spans.named("inside endless"))
        running.stop()


async def returned_and_run_again(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    job_id = await app.configure_task("patient").defer_async()
    async with bench.working(shutdown_graceful_timeout=0) as running:
        await bench.ended(job_id, "doing")
        await bench.until(lambda: spans.named("inside patient"))
        running.stop()
    await bench.drain()


async def retried_by_hand(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    with spans.tracer.start_as_current_span("request"):
        job_id = await app.configure_task("work").defer_async()
    await bench.drain()
    with spans.tracer.start_as_current_span("of an operator"):
        await app.job_manager.retry_job_by_id_async(job_id)
    await bench.drain()


async def of_an_unknown_task(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("nobody knows").defer_async()
    await bench.drain()


async def deferred_by_a_job(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("chain").defer_async()
    await bench.drain()


async def inside_of_a_span_of_the_worker(app: adjourn.App, bench: Bench, spans: Spans) -> None:
    await app.configure_task("work").defer_async()
    with spans.tracer.start_as_current_span("main"):
        await bench.drain()


SCENES: dict[str, tuple[Any, dict[str, Any]]] = {
    "a job is deferred and run": (deferred, {}),
    "deferred in a request": (deferred_in_a_request, {}),
    "deferred in a request, always linked": (deferred_in_a_request, {"relation": "link"}),
    "a blocking call, and a task in a thread": (blocking, {}),
    "a batch of three": (batch, {}),
    "a batch of three, with a span for each": (batch, {"create_spans": True}),
    "scheduled": (scheduled, {}),
    "scheduled, always a child": (scheduled, {"relation": "parent"}),
    "due soon": (due_soon, {}),
    "three attempts": (three_attempts, {}),
    "periodic": (periodic, {}),
    "rescued after the death of a worker": (rescued, {}),
    "aborted": (aborted, {}),
    "returned by a worker that stops": (returned, {}),
    "returned, and run by the next worker": (returned_and_run_again, {}),
    "run again by hand": (retried_by_hand, {}),
    "of a task that nobody knows": (of_an_unknown_task, {}),
    "deferred by a job": (deferred_by_a_job, {}),
    "a worker inside of a span": (inside_of_a_span_of_the_worker, {}),
    "named after queues": (deferred, {"span_names": "queue"}),
}


def declare(app: adjourn.App, spans: Spans) -> None:
    @app.task(name="work", queue="q")
    async def work() -> None:
        with spans.tracer.start_as_current_span("inside work"):
            await asyncio.sleep(0)

    @app.task(name="block")
    def block() -> None:
        with spans.tracer.start_as_current_span("inside block"):
            pass

    @app.task(name="fail", retry=adjourn.RetryStrategy(max_attempts=2))
    async def fail() -> None:
        raise LookupError("no")

    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    @app.task(name="endless")
    async def endless() -> None:
        spans.tracer.start_span("inside endless").end()
        await asyncio.sleep(100)

    @app.task(name="patient")
    async def patient() -> None:
        is_first = not spans.named("inside patient")
        spans.tracer.start_span("inside patient").end()
        await asyncio.sleep(100 if is_first else 0)

    @app.task(name="chain")
    async def chain() -> None:
        await work.defer_async()


async def test_each_scene_has_its_trees_of_spans(spans: Spans, instrument: Instrument) -> None:
    seen = []
    for title, (scene, options) in SCENES.items():
        scene_spans = Spans()
        app = adjourn.App(connector=adjourn.testing.InMemoryConnector())
        declare(app, scene_spans)
        instrument(tracer_provider=scene_spans.provider, **options)
        async with app.open_async():
            await scene(app, Bench(app), scene_spans)
        AdjournInstrumentor().uninstrument()
        seen.append(f"# {title}\n{scene_spans.trees()}")
    text = "\n".join(seen)
    if not GOLDEN.exists():
        GOLDEN.write_text(text)
        pytest.fail(f"{GOLDEN.name} was missing, and is written: look at it")
    assert text == GOLDEN.read_text()


# Defers


async def test_a_span_says_what_was_deferred(app: adjourn.App, spans: Spans, instrument: Instrument) -> None:
    instrument()
    at = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
    job_id = await app.configure_task("work", queue="q", lock="secret", priority=3, schedule_at=at).defer_async(x=1)
    attributes = dict(spans.one("defer work").attributes or {})
    assert attributes == {
        "messaging.system": "adjourn",
        "messaging.operation.name": "defer",
        "messaging.operation.type": "send",
        "messaging.destination.name": "q",
        "messaging.message.id": str(job_id),
        "adjourn.task.name": "work",
        "adjourn.job.priority": 3,
        "adjourn.job.has_lock": True,
        "adjourn.job.scheduled_at": "2100-01-01T00:00:00+00:00",
    }


async def test_a_taken_queueing_lock_is_no_failure_of_the_span_and_other_errors_are(
    app: adjourn.App, spans: Spans, instrument: Instrument
) -> None:
    instrument()
    deferrer = app.configure_task("work", queueing_lock="one")
    await deferrer.defer_async()
    with pytest.raises(AlreadyEnqueued):
        await deferrer.defer_async()
    taken = spans.named("defer work")[1]
    assert (taken.attributes or {})["error.type"] == "adjourn.exceptions.AlreadyEnqueued"
    assert taken.status.status_code is StatusCode.UNSET
    with pytest.raises(TypeError):
        await app.configure_task("work", task_kwargs={}).batch_defer_async({"x": 1}, {"x": object()})
    failed = spans.one("defer_batch default")
    assert failed.status.status_code is StatusCode.ERROR


async def test_calls_that_share_a_commit_have_spans_of_their_own_and_that_is_linked_to_them(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    instrument()

    async def request(number: int) -> None:
        with spans.tracer.start_as_current_span(f"request {number}"):
            await app.configure_task("work").defer_async()

    await asyncio.gather(*map(request, range(5)))
    group = spans.one("defer_group")
    defers = spans.named("defer work")
    requests = {span.context.span_id for span in spans.ended if span.name.startswith("request") and span.context}
    assert {span.parent.span_id for span in defers if span.parent} == requests
    linked = {link.context.span_id for link in group.links}
    assert len(linked) == 4  # the first call has found nobody to share with
    assert linked < {span.context.span_id for span in defers if span.context}
    assert group.parent is None
    assert not trace.get_current_span().get_span_context().is_valid


async def test_headers_of_the_caller_win(app: adjourn.App, instrument: Instrument) -> None:
    instrument()
    own = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tenant": "acme"}
    await app.configure_task("work", headers=own).defer_async()
    (job,) = await app.job_manager.list_jobs_async()
    assert job.headers == own


# Runs


async def test_a_span_says_what_was_run_and_time_in_middleware_counts(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    instrument()

    async def of_worker(call_next: Any, context: adjourn.JobContext, worker: Any) -> Any:
        spans.tracer.start_span("in worker middleware").end()
        return await call_next()

    def of_task(call_next: Any, context: adjourn.JobContext, worker: Any) -> Any:
        spans.tracer.start_span("in task middleware").end()
        return call_next()

    @app.task(name="wrapped", queue="q", task_middleware=[of_task])
    def wrapped() -> None: ...

    job_id = await wrapped.defer_async()
    await bench.drain(worker_middleware=[of_worker], name="one")
    span = spans.one("process wrapped")
    assert span.context is not None
    for inside in (spans.one("in worker middleware"), spans.one("in task middleware")):
        assert inside.parent is not None
        assert inside.parent.span_id == span.context.span_id
    attributes = dict(span.attributes or {})
    assert 0 <= attributes.pop("adjourn.job.wait_seconds") < 60  # type: ignore[operator]
    assert attributes == {
        "messaging.system": "adjourn",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "q",
        "messaging.message.id": str(job_id),
        "messaging.client.id": "one-1",
        "adjourn.task.name": "wrapped",
        "adjourn.job.attempt": 1,
        "adjourn.job.claim": 1,
        "adjourn.job.outcome": "succeeded",
        "code.function.name": f"{__name__}.{wrapped.func.__qualname__}",
    }


@pytest.mark.parametrize("kind", ["async", "sync", "wrapper"])
async def test_spans_inside_of_tasks_belong_to_their_own_runs(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument, kind: str
) -> None:
    instrument()
    together = threading.Barrier(20)

    def child(n: int) -> None:
        with spans.tracer.start_as_current_span(f"child {n}"):
            pass

    async def on_loop(n: int) -> None:
        await asyncio.sleep(0.001)
        child(n)

    def in_thread(n: int) -> None:
        together.wait(10)
        child(n)

    def wrapper(n: int) -> Any:
        return on_loop(n)

    functions: dict[str, Any] = {"async": on_loop, "sync": in_thread, "wrapper": wrapper}
    app.task(name="work")(functions[kind])
    ids = await app.configure_task("work").batch_defer_async(*({"n": n} for n in range(40)))
    await bench.drain(concurrency=20)
    runs = {span.context.span_id: span for span in spans.named("process work") if span.context}
    assert len(runs) == 40
    for n, job_id in enumerate(ids):
        parent = spans.one(f"child {n}").parent
        assert parent is not None
        run = runs[parent.span_id]
        assert (run.attributes or {})["messaging.message.id"] == str(job_id)
        assert (run.end_time or 0) >= (spans.one(f"child {n}").end_time or 0)


async def test_a_run_that_lost_its_job_says_so(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    instrument()
    begun, go = asyncio.Event(), asyncio.Event()

    @app.task(name="slow")
    async def slow() -> None:
        begun.set()
        await go.wait()

    job_id = await slow.defer_async()
    async with bench.working(concurrency=2) as worker:
        await begun.wait()
        begun.clear()
        await app.job_manager.retry_job_by_id_async(job_id)
        await begun.wait()  # the second run of it in this worker, which lets go of the first
        go.set()
        await bench.ended(job_id)
        worker.stop()
    outcomes = [(span.attributes or {})["adjourn.job.outcome"] for span in spans.named("process slow")]
    assert sorted(map(str, outcomes)) == ["lost", "succeeded"]


# What goes with a job


@pytest.mark.parametrize("is_captured", [False, True])
async def test_baggage_is_stored_only_if_it_is_asked_for(
    app: adjourn.App, bench: Bench, instrument: Instrument, is_captured: bool
) -> None:
    instrument(capture_baggage=is_captured)
    seen: list[object] = []

    @app.task(name="look")
    def look() -> None:
        seen.append(baggage.get_baggage("user"))

    token = context.attach(baggage.set_baggage("user", "jane"))
    await look.defer_async()
    context.detach(token)
    (job,) = await app.job_manager.list_jobs_async()
    assert ("jane" in str(job.headers)) is is_captured
    await bench.drain()
    assert seen == ["jane" if is_captured else None]


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
        "é" * 2500,
        "0" * 8_000,
    ],
)
async def test_a_malformed_context_begins_a_trace_of_its_own(
    app: adjourn.App,
    bench: Bench,
    work: adjourn.tasks.Task[..., None, ...],
    spans: Spans,
    instrument: Instrument,
    traceparent: str,
) -> None:
    instrument()
    job_id = await work.configure(headers={"traceparent": traceparent}).defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"
    span = spans.one("process work")
    assert (span.parent, list(span.links)) == (None, [])


async def test_of_a_trace_that_is_not_sampled_nothing_is_exported_and_the_context_goes_on(
    app: adjourn.App, bench: Bench, work: adjourn.tasks.Task[..., None, ...], instrument: Instrument
) -> None:
    unsampled = Spans(sampler=ParentBased(ALWAYS_OFF))
    instrument(tracer_provider=unsampled.provider)
    seen: list[int] = []

    @app.task(name="look")
    def look() -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)

    with unsampled.tracer.start_as_current_span("request") as request:
        await look.defer_async()
    await bench.drain()
    assert seen == [request.get_span_context().trace_id]
    assert list(unsampled.ended) == []


async def test_a_tracestate_that_is_too_long_is_left_out(
    app: adjourn.App, spans: Spans, instrument: Instrument
) -> None:
    instrument()
    own = trace.TraceState([(f"k{n}", "v" * 200) for n in range(10)])
    parent = trace.SpanContext(1, 2, True, trace.TraceFlags(1), own)
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
    await app.configure_task("work").defer_async()
    context.detach(token)
    (job,) = await app.job_manager.list_jobs_async()
    assert list(job.headers or {}) == ["traceparent"]


# Secrets


async def test_arguments_are_in_a_span_only_if_that_is_asked_for_and_secrets_never(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    @app.task(name="pay", sensitive=["street"])
    def pay(number: int, options: Any, street: str) -> None:
        raise ValueError(f"no access with {options['api_key']} from {street}")

    arguments: dict[str, Any] = {
        "number": 7,
        "options": {"api_key": "hunter22", "name": "jane"},
        "street": "Elm Street",
    }
    instrument()
    await pay.defer_async(**arguments)
    await bench.drain()
    assert "jane" not in told(spans)
    AdjournInstrumentor().uninstrument()
    instrument(record_arguments=True)
    await pay.defer_async(**arguments)
    await bench.drain()
    assert '{"number": 7, "options": {"api_key": "***", "name": "jane"}, "street": "***"}' in told(spans)
    assert "no access with *** from ***" in told(spans)
    assert "hunter22" not in told(spans)
    assert "Elm Street" not in told(spans)


async def test_the_status_of_a_failed_run_says_why_in_a_line_without_secrets(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument
) -> None:
    @app.task(name="pay", sensitive=["street"])
    def pay(street: str) -> None:
        raise ConnectionError(f"no way to {street}\nsecond line" + 300 * "x")

    @app.task(name="silent")
    def silent() -> None:
        raise ConnectionError

    instrument()
    await pay.defer_async(street="Elm Street")
    await silent.defer_async()
    await bench.drain()
    described = {span.name: span.status.description for span in spans.ended if not span.status.is_ok}
    assert described == {"process pay": "ConnectionError: no way to ***", "process silent": "ConnectionError"}


def told(spans: Spans) -> str:
    """All that spans hold."""
    return "\n".join(
        str(
            [
                span.name,
                span.status.description,
                dict(span.attributes or {}),
                [dict(event.attributes or {}) for event in span.events],
            ]
        )
        for span in spans.ended
    )


# Switching it on and off


async def test_off_again_it_leaves_no_trace(
    app: adjourn.App, bench: Bench, work: adjourn.tasks.Task[..., None, ...], spans: Spans, instrument: Instrument
) -> None:
    loggers = [logging.getLogger(name) for name in ("adjourn.jobs", "adjourn.worker")]
    before = telemetry.OBSERVERS, [list(logger.filters) for logger in loggers]
    instrument()
    assert AdjournInstrumentor().is_instrumented_by_opentelemetry
    AdjournInstrumentor().uninstrument()
    assert (telemetry.OBSERVERS, [list(logger.filters) for logger in loggers]) == before
    await work.defer_async()
    await bench.drain()
    assert list(spans.ended) == []
    (job,) = await app.job_manager.list_jobs_async()
    assert job.headers is None


async def test_twice_warns_and_doubles_nothing(
    app: adjourn.App, spans: Spans, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument()
    instrument()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await app.configure_task("work").defer_async()
    assert len(spans.named("defer work")) == 1


def test_an_instrumentor_is_found_by_its_entry_point() -> None:
    from importlib.metadata import entry_points

    (found,) = entry_points(group="opentelemetry_instrumentor", name="adjourn")
    instrumentor = found.load()()
    assert instrumentor is AdjournInstrumentor()
    instrumentor.instrument(skip_dep_check=True, raise_exception_on_conflict=True)
    instrumentor.uninstrument()


def test_options_that_do_not_exist_are_refused(instrument: Instrument) -> None:
    for bad in (
        {"relation": "child"},
        {"span_names": 1},
        {"create_spans": 1},
        {"defer_hook": 1},
        {"relations": "auto"},
    ):
        with pytest.raises(InvalidOption, match=next(iter(bad))):
            instrument(**bad)
    assert not AdjournInstrumentor().is_instrumented_by_opentelemetry


async def test_hooks_add_attributes_and_what_they_raise_harms_nothing(
    app: adjourn.App, bench: Bench, work: adjourn.tasks.Task[..., None, ...], spans: Spans, instrument: Instrument
) -> None:
    def hook(span: Span, job: Job) -> None:
        span.set_attribute("tenant", f"of {job.id}")
        raise ValueError("no")

    instrument(defer_hook=hook, process_hook=hook)
    job_id = await work.defer_async()
    await bench.drain()
    assert await bench.status(job_id) == "succeeded"
    for name in ("defer work", "process work"):
        assert (spans.one(name).attributes or {})["tenant"] == f"of {job_id}"


async def test_suppressed_calls_have_no_span(app: adjourn.App, spans: Spans, instrument: Instrument) -> None:
    instrument()
    token = context.attach(context.set_value("suppress_instrumentation", True))
    await app.configure_task("work").defer_async()
    context.detach(token)
    assert list(spans.ended) == []


# Records and metrics


async def test_records_name_the_current_span(
    app: adjourn.App, bench: Bench, spans: Spans, instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    instrument()
    caplog.set_level(logging.INFO, "adjourn")

    @app.task(name="look")
    def look() -> None: ...

    with spans.tracer.start_as_current_span("request"):
        await look.defer_async()
    await bench.drain()
    records: dict[str, Any] = {record.action: record for record in caplog.records if hasattr(record, "action")}
    for action, name in (("jobs_deferred", "request"), ("job_success", "process look")):
        span = spans.one(name).context
        assert span is not None
        assert records[action].trace_id == trace.format_trace_id(span.trace_id)
        assert records[action].span_id == trace.format_span_id(span.span_id)
    assert not hasattr(records["start_worker"], "trace_id")


async def test_metrics_count_and_time_what_is_deferred_and_run(
    app: adjourn.App, bench: Bench, instrument: Instrument
) -> None:
    reader = InMemoryMetricReader()
    instrument(meter_provider=MeterProvider([reader], shutdown_on_exit=False))

    @app.task(name="fail", queue="q")
    def fail() -> None:
        raise LookupError("no")

    await fail.batch_defer_async({}, {})
    await fail.defer_async()
    await bench.drain()
    data: Any = reader.get_metrics_data()
    (of_scope,) = data.resource_metrics[0].scope_metrics
    points = {metric.name: list(metric.data.data_points) for metric in of_scope.metrics}
    assert sum(point.value for point in points["messaging.client.sent.messages"]) == 3
    assert sum(point.value for point in points["messaging.client.consumed.messages"]) == 3
    assert sum(point.count for point in points["messaging.client.operation.duration"]) == 2
    (process,) = points["messaging.process.duration"]
    assert process.count == 3
    assert dict(process.attributes) == {
        "messaging.system": "adjourn",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "q",
        "adjourn.task.name": "fail",
        "error.type": "LookupError",
    }
    assert sum(point.count for point in points["adjourn.job.wait.duration"]) == 3
    reader.shutdown()
