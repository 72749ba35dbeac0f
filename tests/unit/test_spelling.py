"""A misspelled name: the error names it, and the one that was probably meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

import pytest

import adjourn
from adjourn._domain import spelling
from adjourn.exceptions import InvalidOption, InvalidTaskArguments, UnknownOption
from adjourn.testing import InMemoryConnector, SyncInMemoryConnector
from adjourn.worker import Worker


@pytest.fixture
def app() -> adjourn.App:
    """An app with two tasks, ``send`` and ``send_any``."""
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="send")
    def send(address: str, subject: str = "") -> None:
        pass

    @app.task(name="send_any")
    def send_any(address: str, subject: str = "", **more: Any) -> None:
        pass

    return app


ADDRESS = "Task send: takes no argument 'adress'; did you mean 'address'? It takes 'address', 'subject'."
DEFERS: dict[str, Callable[[adjourn.App], Any]] = {
    "defer": lambda app: app.tasks["send"].defer(adress="x"),
    "batch_defer": lambda app: app.tasks["send"].batch_defer({"address": "x"}, {"adress": "x"}),
    "configure": lambda app: app.tasks["send"].configure(task_kwargs={"adress": "x"}),
    "configured": lambda app: app.tasks["send"].configure(task_kwargs={"subject": "x"}).defer(adress="x"),
    "by name": lambda app: app.configure_task("send").defer(adress="x"),
}


@pytest.mark.parametrize("defer", DEFERS.values(), ids=DEFERS.keys())
def test_a_misspelled_argument_is_named(app: adjourn.App, defer: Callable[[adjourn.App], Any]) -> None:
    with pytest.raises(InvalidTaskArguments) as raised:
        defer(app)
    assert str(raised.value) == ADDRESS
    assert app.job_manager.list_jobs() == []


async def test_so_it_is_when_it_is_awaited(app: adjourn.App) -> None:
    with pytest.raises(InvalidTaskArguments) as raised:
        await app.tasks["send"].defer_async(adress="x")
    assert str(raised.value) == ADDRESS
    with pytest.raises(InvalidTaskArguments) as raised:
        await app.tasks["send"].batch_defer_async({"adress": "x"})
    assert str(raised.value) == ADDRESS


def test_several_misspelled_arguments_are_named(app: adjourn.App) -> None:
    with pytest.raises(InvalidTaskArguments, match="no argument 'adress', 'subjct'; did you mean 'address', 'subject'"):
        app.tasks["send"].defer(subjct="x", adress="y")


def test_what_is_given_already_is_not_suggested(app: adjourn.App) -> None:
    with pytest.raises(InvalidTaskArguments, match=r"takes no argument 'adress'\. It takes 'address', 'subject'\."):
        app.tasks["send"].defer(address="x", adress="y")


def test_a_task_that_takes_any_argument_says_which_may_be_misspelled(app: adjourn.App) -> None:
    with pytest.raises(InvalidTaskArguments) as raised:
        app.tasks["send_any"].defer(adress="x", other=1)
    assert str(raised.value) == (
        "Task send_any: missing argument 'address': pass it by name ('adress' may be a misspelling)."
    )


OPTIONS: dict[str, tuple[Callable[[adjourn.App], Callable[..., Any]], str, str]] = {
    "task": (lambda app: app.task, "quue", "queue"),
    "periodic": (
        lambda app: lambda **each: app.periodic(cron="@hourly", **each)(app.tasks["send"]),
        *("timezne", "timezone"),
    ),
    "configure": (lambda app: app.tasks["send"].configure, "shedule_in", "schedule_in"),
    "configure_task": (lambda app: functools.partial(app.configure_task, "send"), "queing_lock", "queueing_lock"),
    "App": (type, "conector", "connector"),
    "run_worker": (lambda app: app.run_worker, "concurency", "concurrency"),
    "worker_defaults": (
        lambda app: lambda **each: adjourn.App(connector=app.connector, worker_defaults=cast("Any", each)),
        *("quees", "queues"),
    ),
    "periodic_defaults": (
        lambda app: lambda **each: adjourn.App(connector=app.connector, periodic_defaults=cast("Any", each)),
        *("maxdelay", "max_delay"),
    ),
    "Worker": (
        lambda app: functools.partial(Worker, app),
        *("shutdown_gracefull_timeout", "shutdown_graceful_timeout"),
    ),
    "RetryStrategy": (lambda app: adjourn.RetryStrategy, "max_attemps", "max_attempts"),
    "RetryDecision": (lambda app: adjourn.RetryDecision, "retry_on", "retry_in"),
    "PsycopgConnector": (lambda app: adjourn.PsycopgConnector, "max_sise", "max_size"),
    "SyncPsycopgConnector": (lambda app: adjourn.SyncPsycopgConnector, "coninfo", "conninfo"),
    "InMemoryConnector": (lambda app: InMemoryConnector, "json-dumps", "json_dumps"),
    "SyncInMemoryConnector": (lambda app: SyncInMemoryConnector, "json_load", "json_loads"),
    "list_jobs": (lambda app: app.job_manager.list_jobs, "stauts", "status"),
    "list_queues": (lambda app: app.job_manager.list_queues, "live_olny", "live_only"),
    "get_stalled_jobs": (lambda app: app.job_manager.get_stalled_jobs, "taskname", "task_name"),
    "delete_old_jobs": (lambda app: app.job_manager.delete_old_jobs, "include_fail", "include_failed"),
    "cancel_job_by_id": (lambda app: app.job_manager.cancel_job_by_id, "abbort", "abort"),
    "retry_job_by_id": (lambda app: app.job_manager.retry_job_by_id, "prioriti", "priority"),
}


@pytest.mark.parametrize(("call_of", "wrong", "right"), OPTIONS.values(), ids=OPTIONS.keys())
def test_a_misspelled_option_is_named(
    app: adjourn.App, call_of: Callable[[adjourn.App], Callable[..., Any]], wrong: str, right: str
) -> None:
    with pytest.raises(UnknownOption, match=f"{wrong}.*; did you mean '{right}'\\?"):
        call_of(app)(**{wrong: None})


async def test_a_misspelled_filter_is_named_when_it_is_awaited(app: adjourn.App) -> None:
    with pytest.raises(UnknownOption, match=r"list_jobs_async: .*'stauts'; did you mean 'status'\?"):
        await app.job_manager.list_jobs_async(stauts="todo")  # type: ignore[call-arg]
    with pytest.raises(UnknownOption, match=r"cancel_job_by_id_async: .*'abbort'; did you mean 'abort'\?"):
        await app.job_manager.cancel_job_by_id_async(1, abbort=True)  # type: ignore[call-arg]


def test_an_option_like_no_other_is_named_with_all_that_exist(app: adjourn.App) -> None:
    with pytest.raises(UnknownOption) as raised:
        app.task(xyz=1)  # type: ignore[call-overload]
    assert str(raised.value) == (
        "task: there is no option 'xyz'. These are: name, aliases, retry, pass_context, queue, priority, lock, "
        "queueing_lock, timeout, task_middleware, store_result, result_ttl, max_result_size, unique, limits, "
        "expires_in, batch, sensitive."
    )


def test_programs_may_take_it_for_what_python_raises_or_for_an_invalid_value(app: adjourn.App) -> None:
    for kind in (TypeError, InvalidOption, adjourn.exceptions.AdjournException):
        with pytest.raises(kind):
            app.tasks["send"].configure(quue="x")  # type: ignore[call-overload]


def test_a_function_that_is_checked_looks_as_before() -> None:
    async def find(*, name: str = "") -> str:
        return name

    checked = spelling.suggests_names(find)
    assert inspect.iscoroutinefunction(checked)
    assert inspect.signature(checked) == inspect.signature(find)
    assert next(iter(inspect.signature(adjourn.App).parameters)) == "connector"
