"""What Sentry is told of jobs, on a transport that keeps it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

import adjourn
from adjourn import telemetry
from adjourn.contrib.sentry import AdjournIntegration
from adjourn.exceptions import InvalidOption
from support.bench import Bench


class Kept(Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        for item in envelope.items:
            assert item.payload.json is not None
            self.items.append({"type": item.type, **item.payload.json})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [item for item in self.items if item["type"] == kind]

    def transaction(self, name: str) -> dict[str, Any]:
        (found,) = [item for item in self.of("transaction") if item["transaction"] == name]
        return found


@pytest.fixture
def sent() -> Kept:
    return Kept()


@pytest.fixture
def init(sent: Kept) -> Iterator[Callable[..., None]]:
    """Begin to report to a transport, and end that."""

    def init(integration: AdjournIntegration | None = None, **options: Any) -> None:
        sentry_sdk.init(
            dsn="http://key@127.0.0.1:9/1",
            transport=sent,
            traces_sample_rate=1.0,
            default_integrations=False,
            integrations=[integration or AdjournIntegration()],
            **options,
        )

    yield init
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


@pytest.fixture
def tasks(app: adjourn.App) -> adjourn.App:
    @app.task(name="work", queue="q")
    async def work(**arguments: Any) -> None: ...

    @app.task(name="block", queue="q")
    def block(**arguments: Any) -> None:
        sentry_sdk.add_breadcrumb(message="in the task")
        with sentry_sdk.start_span(op="inside", name="inside"):
            pass

    @app.task(name="fail", queue="q")
    async def fail(api_key: str, name: str) -> None:
        raise LookupError(f"no {api_key}")

    @app.task(name="flaky", queue="q", retry=adjourn.RetryStrategy(max_attempts=1))
    async def flaky() -> None:
        raise LookupError("no")

    return app


@pytest.mark.parametrize("task", ["work", "block"])
async def test_a_call_and_its_run_are_one_trace_with_the_fields_that_sentry_looks_for(
    tasks: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept, task: str
) -> None:
    init()
    with sentry_sdk.start_transaction(name="POST /orders"):
        job_id = await tasks.configure_task(task).defer_async(x="é")
    await bench.drain()
    request, run = sent.transaction("POST /orders"), sent.transaction(task)
    (publish,) = request["spans"]
    assert (publish["op"], publish["description"]) == ("queue.publish", task)
    named = {
        "messaging.system": "adjourn",
        "messaging.destination.name": "q",
        "messaging.message.id": str(job_id),
        "messaging.message.body.size": 11,
    }
    assert named.items() <= publish["data"].items()
    trace = run["contexts"]["trace"]
    assert (trace["op"], trace["status"]) == ("queue.task.adjourn", "ok")
    assert run["transaction_info"] == {"source": "task"}
    assert trace["trace_id"] == request["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == publish["span_id"]
    process = next(span for span in run["spans"] if span["op"] == "queue.process")
    assert {**named, "messaging.message.retry.count": 0}.items() <= process["data"].items()
    assert 0 <= process["data"]["messaging.message.receive.latency"] < 60_000
    inside = [span["parent_span_id"] for span in run["spans"] if span["op"] == "inside"]
    assert inside == ([process["span_id"]] if task == "block" else [])


async def test_without_a_transaction_nothing_is_stored_with_a_job(
    tasks: adjourn.App, init: Callable[..., None], sent: Kept
) -> None:
    init()
    await tasks.configure_task("work").defer_async()
    (job,) = await tasks.job_manager.list_jobs_async()
    assert job.headers is None


async def test_a_batch_is_one_span(tasks: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept) -> None:
    init()
    with sentry_sdk.start_transaction(name="request"):
        await tasks.configure_task("work").batch_defer_async({}, {}, {})
    await bench.drain()
    (publish,) = sent.transaction("request")["spans"]
    assert publish["data"]["messaging.batch.message_count"] == 3
    runs = [
        item["contexts"]["trace"]["parent_span_id"] for item in sent.of("transaction") if item["transaction"] == "work"
    ]
    assert runs == [publish["span_id"]] * 3


@pytest.mark.parametrize("has_consent", [False, True])
async def test_a_failed_job_is_one_error_with_arguments_only_by_consent(
    tasks: adjourn.App,
    bench: Bench,
    init: Callable[..., None],
    sent: Kept,
    has_consent: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    init(data_collection={"queues": has_consent})
    sentry_sdk.add_breadcrumb(message="of the program")
    job_id = await tasks.configure_task("fail").defer_async(api_key="hunter22", name="jane")
    await bench.drain()
    (event,) = sent.of("event")
    (error,) = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("LookupError", "no ***")
    assert error["mechanism"] == {"type": "adjourn", "handled": False}
    assert event["tags"] == {"adjourn.task": "fail", "adjourn.job_id": str(job_id)}
    assert event["transaction"] == "fail"
    assert not event.get("breadcrumbs", {}).get("values")
    arguments = {"api_key": "***", "name": "jane"} if has_consent else "[Filtered]"
    assert event["contexts"]["adjourn"]["arguments"] == arguments
    assert ("jane" in str(sent.items)) is has_consent  # neither in events nor in spans
    assert "hunter22" not in str(sent.items)
    (frame,) = error["stacktrace"]["frames"]
    assert frame.get("vars") == ({"api_key": "***", "name": "'jane'"} if has_consent else None)
    assert event["contexts"]["trace"]["trace_id"] == sent.transaction("fail")["contexts"]["trace"]["trace_id"]
    assert sent.transaction("fail")["contexts"]["trace"]["status"] == "internal_error"


async def test_a_retried_job_is_no_error_unless_that_is_asked_for_and_begins_a_trace_of_its_own(
    tasks: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept
) -> None:
    init()
    with sentry_sdk.start_transaction(name="request"):
        await tasks.configure_task("flaky").defer_async()
    await bench.drain()
    assert len(sent.of("event")) == 1  # of the last attempt
    traces = [item["contexts"]["trace"]["trace_id"] for item in sent.of("transaction")]
    request, first, second = traces
    assert request == first != second
    sent.items.clear()
    init(AdjournIntegration(capture_retries=True))
    await tasks.configure_task("flaky").defer_async()
    await bench.drain()
    assert len(sent.of("event")) == 2


async def test_a_wait_is_told_in_milliseconds_and_each_run_with_its_number(
    tasks: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept
) -> None:
    init()
    await tasks.configure_task("flaky").defer_async()
    tasks.connector.advance(seconds=5)  # type: ignore[attr-defined]
    await bench.drain()
    spans = [span for run in sent.of("transaction") for span in run["spans"] if span["op"] == "queue.process"]
    first, second = [span["data"] for span in spans]
    assert 5_000 <= first["messaging.message.receive.latency"] < 60_000
    assert second["messaging.message.receive.latency"] < 5_000
    assert [each["messaging.message.retry.count"] for each in (first, second)] == [0, 1]
    assert [each["status"] for each in spans] == ["internal_error"] * 2


async def test_what_one_task_sets_does_not_reach_the_next(
    app: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept
) -> None:
    init()

    @app.task(name="tagged")
    def tagged() -> None:
        sentry_sdk.set_tag("tenant", "acme")
        sentry_sdk.add_breadcrumb(message="of the first")

    @app.task(name="fail")
    def fail() -> None:
        raise LookupError("no")

    await tagged.defer_async()
    await fail.defer_async()
    await bench.drain(concurrency=1)
    (event,) = sent.of("event")
    assert "tenant" not in event["tags"]
    assert not event.get("breadcrumbs", {}).get("values")


async def test_the_headers_of_sentry_go_with_a_job(tasks: adjourn.App, init: Callable[..., None], sent: Kept) -> None:
    init()
    with sentry_sdk.start_transaction(name="request"):
        await tasks.configure_task("work").defer_async()
    (job,) = await tasks.job_manager.list_jobs_async()
    assert sorted(job.headers or {}) == ["baggage", "sentry-trace"]
    assert job.task_kwargs == {}


async def test_a_job_of_an_unknown_task_is_an_error(
    tasks: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept
) -> None:
    init()
    await tasks.configure_task("nobody knows").defer_async()
    await bench.drain()
    (event,) = sent.of("event")
    assert event["exception"]["values"][-1]["type"] == "TaskNotFound"


async def test_a_log_record_of_the_worker_is_not_reported_a_second_time(
    tasks: adjourn.App, bench: Bench, sent: Kept, init: Callable[..., None]
) -> None:
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=sent,
        default_integrations=False,
        integrations=[AdjournIntegration(), LoggingIntegration(event_level=logging.ERROR)],
    )
    await tasks.configure_task("fail").defer_async(api_key="x", name="y")
    await bench.drain()
    assert len(sent.of("event")) == 1


async def test_schedules_are_monitors_if_that_is_asked_for(
    app: adjourn.App, bench: Bench, init: Callable[..., None], sent: Kept
) -> None:
    init(AdjournIntegration(monitor_periodic=True))

    @app.periodic(cron="* * * * *", periodic_id="often")
    @app.task(name="tick")
    async def tick(timestamp: int) -> None: ...

    app.connector.advance(seconds=61)  # type: ignore[attr-defined]
    await bench.drain()
    app.connector.advance(seconds=61)  # type: ignore[attr-defined]
    await bench.drain()
    begun, ended = sent.of("check_in")[:2]
    assert (begun["monitor_slug"], begun["status"], ended["status"]) == ("tick-often", "in_progress", "ok")
    assert begun["check_in_id"] == ended["check_in_id"]
    assert begun["monitor_config"] == {"schedule": {"type": "crontab", "value": "* * * * *"}, "timezone": "UTC"}


async def test_beside_opentelemetry_it_makes_no_spans_and_warns_once(
    tasks: adjourn.App,
    bench: Bench,
    init: Callable[..., None],
    instrument: Callable[..., None],
    sent: Kept,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    init()
    for observer in telemetry.OBSERVERS:  # another test may have been warned
        if hasattr(observer, "_has_warned"):
            monkeypatch.setattr(observer, "_has_warned", False)
    instrument()
    with sentry_sdk.start_transaction(name="request"):
        await tasks.configure_task("fail").defer_async(api_key="x", name="y")
    await bench.drain()
    assert [item["transaction"] for item in sent.of("transaction")] == ["request"]
    assert sent.transaction("request")["spans"] == []
    assert len(sent.of("event")) == 1
    warned = [record for record in caplog.records if record.name == "adjourn.sentry"]
    assert [(record.levelname, record.action) for record in warned] == [("WARNING", "sentry_stands_back")]  # type: ignore[attr-defined]


def test_options_are_checked() -> None:
    with pytest.raises(InvalidOption, match="capture_retries"):
        AdjournIntegration(capture_retries=1)  # type: ignore[arg-type]
