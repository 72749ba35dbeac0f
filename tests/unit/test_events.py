"""Who is told of what happens, and what it costs when nobody is."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import adjourn
from adjourn import events
from adjourn.exceptions import InvalidOption
from adjourn.testing import InMemoryConnector


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=InMemoryConnector())


def forgotten(task_name: str = "add") -> events.ScheduleForgotten:
    return events.ScheduleForgotten(task_name=task_name, periodic_id="")


def kinds(told: list[Any]) -> list[str]:
    return [type(event).__name__ for event in told]


def test_a_subscriber_is_told_of_its_kind_and_of_derived_ones_only(app: adjourn.App) -> None:
    everything: list[Any] = []
    scheduled: list[Any] = []
    failed: list[Any] = []
    app.events.subscribe(events.Event, everything.append)
    app.events.subscribe(events.ScheduleForgotten, scheduled.append)
    app.events.subscribe(events.JobEnded, failed.append)
    app.events.emit(forgotten())
    app.events.emit(events.OutcomeRefused(job_id=1))
    assert kinds(everything) == ["ScheduleForgotten", "OutcomeRefused"]
    assert kinds(scheduled) == ["ScheduleForgotten"]
    assert failed == []


def test_a_subscriber_can_leave_out_derived_kinds(app: adjourn.App) -> None:
    told: list[Any] = []
    app.events.subscribe(events.Event, told.append, exactly=True)
    app.events.emit(forgotten())
    assert told == []


def test_a_subscription_ends_once_and_leaves_others_alone(app: adjourn.App) -> None:
    told: list[Any] = []
    end = app.events.subscribe(events.ScheduleForgotten, told.append)
    app.events.subscribe(events.ScheduleForgotten, told.append)
    app.events.emit(forgotten())
    end()
    end()
    app.events.emit(forgotten())
    assert len(told) == 3


def test_nobody_wants_what_nobody_listens_to(app: adjourn.App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "adjourn")
    assert not app.events.wants(events.JobStarted)
    assert not app.events.wants(events.WorkerStopped)
    caplog.set_level(logging.INFO, "adjourn")
    assert app.events.wants(events.JobStarted)
    assert not app.events.wants(events.OutcomeStored)
    caplog.set_level(logging.CRITICAL, "adjourn")
    end = app.events.subscribe(events.JobEvent, lambda event: None)
    assert app.events.wants(events.JobStarted)
    end()
    assert not app.events.wants(events.JobStarted)


def test_a_subscriber_can_say_that_it_does_not_listen_now(app: adjourn.App) -> None:
    told: list[Any] = []
    listens = False
    app.events.subscribe(events.WorkerStopped, told.append, when=lambda: listens)
    event = events.WorkerStopped(worker=events.WorkerIdentity(name="w", id=1, queues=None))
    assert not app.events.wants(events.WorkerStopped)
    app.events.emit(event)
    listens = True
    assert app.events.wants(events.WorkerStopped)
    app.events.emit(event)
    assert told == [event]


async def test_a_worker_makes_no_event_that_nobody_listens_to(
    app: adjourn.App, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(event: Any) -> None:
        raise AssertionError(f"a {type(event).__name__} was made")

    caplog.set_level(logging.CRITICAL, "adjourn")
    for name in events.__all__:
        kind = getattr(events, name)
        if isinstance(kind, type) and issubclass(kind, events.Event):
            monkeypatch.setattr(kind, "__attrs_init__", refuse, raising=False)
            monkeypatch.setattr(kind, "__init__", lambda self, **facts: refuse(self))

    @app.task(name="work")
    async def work() -> None: ...

    async with app.open_async():
        job_id = await work.defer_async()
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        assert (await app.job_manager.get_job_status_async(job_id)).value == "succeeded"


async def test_a_subscriber_that_raises_costs_nobody_a_job(app: adjourn.App) -> None:
    told: list[str] = []
    reports: list[str] = []

    def fail(event: events.Event) -> None:
        raise ValueError("no")

    def unwilling() -> bool:
        raise KeyError("neither")

    app.events.subscribe(events.Event, fail)
    app.events.subscribe(events.Event, fail, when=unwilling)
    app.events.subscribe(events.JobEnded, lambda event: told.append(type(event).__name__))
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reports.append(context["message"]))

    @app.task(name="work")
    async def work() -> None: ...

    async with app.open_async():
        job_id = await work.defer_async()
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        assert (await app.job_manager.get_job_status_async(job_id)).value == "succeeded"
    assert told == ["JobSucceeded"]
    assert any("A subscriber to JobsDeferred raised ValueError" in report for report in reports)
    assert any("ValueError: no" in report for report in reports)
    assert any("raised KeyError" in report for report in reports)


def test_where_there_is_no_loop_the_log_says_what_a_subscriber_raised(
    app: adjourn.App, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(logging.Handler):
        """Fails as handlers of the user's can."""

        def emit(self, record: logging.LogRecord) -> None:
            """Raise."""
            raise OSError("the disk is full")

    def fail(event: events.Event) -> None:
        raise ValueError("no")

    app.events.subscribe(events.ScheduleForgotten, fail)
    app.events.emit(forgotten())
    assert "ValueError: no" in caplog.text
    handler = Broken()
    logging.getLogger("adjourn").addHandler(handler)
    try:
        app.events.emit(forgotten())
    finally:
        logging.getLogger("adjourn").removeHandler(handler)
    assert "ValueError: no" in capsys.readouterr().err


def test_an_app_on_another_connector_has_events_of_its_own_that_the_first_hears_too(app: adjourn.App) -> None:
    first: list[Any] = []
    second: list[Any] = []
    other = app.with_connector(InMemoryConnector())
    app.events.subscribe(events.JobsDeferred, first.append)
    end = other.events.subscribe(events.JobsDeferred, second.append)
    app.configure_task("add").defer()
    assert (len(first), len(second)) == (1, 0)
    other.configure_task("add").defer()
    assert (len(first), len(second)) == (2, 1)
    end()
    app.events.subscribe(events.JobsDeferred, second.append)
    other.configure_task("add").defer()
    assert (len(first), len(second)) == (3, 2)


def test_an_app_whose_connector_is_replaced_keeps_its_subscribers(app: adjourn.App) -> None:
    told: list[Any] = []
    app.events.subscribe(events.JobsDeferred, told.append)
    with app.replace_connector(InMemoryConnector()):
        app.configure_task("add").defer()
    assert kinds(told) == ["JobsDeferred"]


def test_apps_on_other_connectors_can_be_forgotten(app: adjourn.App) -> None:
    app.with_connector(InMemoryConnector())
    gc.collect()
    assert list(app.events._children) == []


async def test_jobs_are_told_however_they_are_deferred(app: adjourn.App) -> None:
    told: list[list[int | None]] = []
    app.events.subscribe(events.JobsDeferred, lambda event: told.append([job.id for job in event.jobs]))

    @app.task(name="add")
    def add(x: int) -> None: ...

    add.defer(x=1)
    await add.defer_async(x=1)
    add.batch_defer({"x": 1}, {"x": 2})
    await add.configure(priority=1).batch_defer_async({"x": 1}, {"x": 2})
    assert told == [[1], [2], [3, 4], [5, 6]]


async def test_subscribing_works_from_any_thread_while_events_happen(app: adjourn.App) -> None:
    told: list[Any] = []
    is_over = False

    def emit() -> None:
        while not is_over:
            app.events.emit(forgotten())

    emitting = threading.Thread(target=emit)
    emitting.start()
    ends: list[Callable[[], None]] = []

    def subscribe() -> None:
        ends.extend(app.events.subscribe(events.ScheduleForgotten, told.append) for _ in range(100))

    subscribing = [threading.Thread(target=subscribe) for _ in range(4)]
    for thread in subscribing:
        thread.start()
    for thread in subscribing:
        thread.join(20)
    is_over = True
    emitting.join(20)
    told.clear()
    app.events.emit(forgotten())
    assert len(told) == 400
    for end in ends:
        end()
    app.events.emit(forgotten())
    assert len(told) == 400


def test_apps_can_be_made_on_other_connectors_while_threads_subscribe(app: adjourn.App) -> None:
    is_over = False
    errors: list[Exception] = []

    def repeat(call: Callable[[], Any]) -> None:
        kept: list[Any] = []
        while not is_over:
            try:
                kept = [*kept[-100:], call()]
            except Exception as error:
                errors.append(error)
                return

    connector = InMemoryConnector()
    calls = [lambda: app.with_connector(connector), lambda: app.events.subscribe(events.JobFailed, print)()]
    threads = [threading.Thread(target=repeat, args=[call]) for call in calls]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        time.sleep(1)
    finally:
        is_over = True
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join(20)
    assert errors == []


async def test_a_subscriber_that_raises_a_cancellation_cancels_nobody(app: adjourn.App) -> None:
    def cancel(event: events.Event) -> None:
        raise asyncio.CancelledError

    app.events.subscribe(events.JobEvent, cancel)

    @app.task(name="work")
    async def work() -> None: ...

    async with app.open_async():
        job_id = await work.defer_async()
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        assert (await app.job_manager.get_job_status_async(job_id)).value == "succeeded"


async def on_a_loop(event: events.Event) -> None: ...


class OnALoop:
    """A subscriber whose call is to be awaited."""

    async def __call__(self, event: events.Event) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("job_success", print), "kind='job_success': pass a class of adjourn.events"),
        ((int, print), "kind=<class 'int'>"),
        ((events.JobEnded, None), "subscriber=None: pass a function"),
        ((events.JobEnded, on_a_loop), "pass a plain function"),
        ((events.JobEnded, OnALoop()), "pass a plain function"),
    ],
)
def test_what_makes_no_sense_is_refused(app: adjourn.App, arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(InvalidOption, match=message.replace("(", r"\(")):
        app.events.subscribe(*arguments)


def test_so_are_bad_options(app: adjourn.App) -> None:
    with pytest.raises(InvalidOption, match="when=1"):
        app.events.subscribe(events.JobEnded, print, when=1)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="exactly='yes'"):
        app.events.subscribe(events.JobEnded, print, exactly="yes")  # type: ignore[arg-type]


def test_events_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        forgotten().task_name = "other"  # type: ignore[misc]


def test_every_public_event_is_documented_with_all_its_fields() -> None:
    for name in events.__all__:
        kind = getattr(events, name)
        if not attrs.has(kind):
            continue
        # Dedented, as Python 3.13 keeps it.
        text = inspect.cleandoc(kind.__doc__ or "")
        assert text, name
        inherited = {field.name for base in kind.__mro__[1:] if attrs.has(base) for field in attrs.fields(base)}
        for field in attrs.fields(kind):
            if field.name not in inherited:
                assert f"\n{field.name}\n" in text or f"{field.name}," in text, (name, field.name)
