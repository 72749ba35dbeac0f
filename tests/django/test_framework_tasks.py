"""Tasks of the framework ``django.tasks``, or of its backport, as jobs."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import re
import subprocess
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured, SynchronousOnlyOperation
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import django
from adjourn import RetryStrategy
from adjourn.contrib.django import app
from adjourn.contrib.django.tasks import AdjournBackend, AdjournTask, options
from adjourn.contrib.django.tasks.compat import (
    InvalidTask,
    Task,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from adjourn.exceptions import AlreadyEnqueued, InvalidResult, JobAborted, WorkerLost
from adjourn.retry import RetryDecision
from adjourn.testing import InMemoryConnector, drain
from support.processes import TESTS
from support.shop import framework
from support.shop.models import Order
from support.waiting import until

if django.VERSION >= (6, 0):
    from django.tasks.exceptions import TaskResultMismatch
else:
    from django_tasks.exceptions import TaskResultMismatch  # type: ignore[assignment]

Shop = psycopg.Connection
BACKEND = "adjourn.contrib.django.tasks.AdjournBackend"
IS_THOROUGH = bool(os.environ.get("ADJOURN_TEST_THOROUGH"))
takes_options = pytest.mark.skipif(
    (6, 0) <= django.VERSION < (6, 1), reason="the decorator of Django 6.0 takes no options of a backend's own"
)


@pytest.fixture(autouse=True)
def no_calls(shop: Shop) -> None:
    framework.calls.clear()


def run(**options: Any) -> None:
    """Run the jobs that are there."""
    app.run_worker(wait=False, install_signal_handlers=False, **options)


def ended(enqueued: Any, **options: Any) -> Any:
    """Run the jobs that are there, and return the result anew."""
    run(**options)
    enqueued.refresh()
    return enqueued


def jobs_seen_by_others(shop: Shop) -> int:
    row = shop.execute("SELECT count(*) FROM adjourn.adjourn_all_jobs").fetchone()
    assert row is not None
    return int(row[0])


# Enqueueing


def test_the_backend_supports_all_that_there_is_to_support() -> None:
    backend = task_backends["default"]
    assert isinstance(backend, AdjournBackend)
    assert backend.supports_defer and backend.supports_async_task  # noqa: PT018
    assert backend.supports_get_result and backend.supports_priority  # noqa: PT018
    assert isinstance(framework.note, AdjournTask)


@pytest.mark.parametrize("enqueued", [framework.note, framework.note_async], ids=["sync", "async"])
def test_a_task_is_enqueued_with_one_query(enqueued: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        result = enqueued.enqueue(1, two=3)
    assert len(queries) == 1
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [1], {"two": 3})
    assert (result.attempts, result.errors, result.worker_ids, result.backend) == (0, [], [], "default")
    assert result.enqueued_at is not None and result.enqueued_at.utcoffset() == datetime.timedelta(0)  # noqa: PT018
    assert (result.started_at, result.last_attempted_at, result.finished_at) == (None, None, None)
    with pytest.raises(ValueError, match="has not finished yet"):
        _ = result.return_value
    with CaptureQueriesContext(connection) as queries:
        assert task_backends["default"].get_result(result.id) == result
    assert len(queries) == 1
    assert enqueued.get_result(result.id) == result
    with pytest.raises(TaskResultMismatch):
        framework.other.get_result(result.id)


async def test_a_task_is_enqueued_and_looked_up_asynchronously() -> None:
    result = await framework.note_async.aenqueue(1, two=3)
    assert await framework.note_async.aget_result(result.id) == result
    await result.arefresh()
    assert result.status == TaskResultStatus.READY
    with pytest.raises(SynchronousOnlyOperation, match=r"await task\.aenqueue"):
        framework.note.enqueue()
    with pytest.raises(SynchronousOnlyOperation, match=r"await task\.aget_result"):
        framework.note_async.get_result(result.id)


def test_all_options_of_a_task_are_there_again() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    due = datetime.datetime(2101, 7, 1, 12, 30, 0, 1, tzinfo=berlin)
    changed = framework.note.using(priority=-7, queue_name="slow", run_after=due)
    result = changed.enqueue()
    found = framework.note.get_result(result.id)
    assert found == result
    assert (found.task, found.task.run_after, found.task.priority) == (changed, due, -7)
    (job,) = app.job_manager.list_jobs()
    assert (job.task_name, job.queue) == ("django:support.shop.framework.note", "slow")
    assert job.scheduled_at == due


def test_in_a_transaction_a_task_is_committed_with_it(shop: Shop) -> None:
    with transaction.atomic():
        framework.note.enqueue()
        assert jobs_seen_by_others(shop) == 0
    assert jobs_seen_by_others(shop) == 1
    with pytest.raises(LookupError), transaction.atomic():
        framework.note.enqueue()
        raise LookupError
    assert jobs_seen_by_others(shop) == 1


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        (["a\0"], {}, r"args\[0\]"),
        ([1, "\ud800"], {}, r"args\[1\]"),
        ([], {"two": [{"x": float("nan")}]}, r"kwargs\['two'\]"),
        ([], {"a\0": 1}, "keyword"),
        ([{1: 2, "1": 3}], {}, r"args\[0\]"),
        ([b"\xff"], {}, r"args\[0\]"),
        ([10**5000], {}, r"args\[0\]"),
    ],
    ids=["NUL", "surrogate", "NaN", "NUL in a keyword", "keys of the same text", "bytes", "a huge number"],
)
def test_arguments_that_cannot_be_stored_are_refused_by_name(
    shop: Shop, args: list[Any], kwargs: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidTask, match=named):
        framework.note.enqueue(*args, **kwargs)
    assert jobs_seen_by_others(shop) == 0


def test_an_argument_that_contains_itself_is_refused(shop: Shop) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidTask, match=r"args\[0\].*too deeply"):
        framework.note.enqueue(circle)
    assert jobs_seen_by_others(shop) == 0


@pytest.mark.parametrize("value", [datetime.datetime(2101, 1, 1), {1, 2}, object(), [print], {(1,): 1}])
def test_an_argument_of_a_type_that_is_not_json_is_a_type_error(shop: Shop, value: Any) -> None:
    with pytest.raises(TypeError):
        framework.note.enqueue(value)
    assert jobs_seen_by_others(shop) == 0


@pytest.mark.parametrize("priority", [101, -101, 3.1, 3.0, True, "3", None])
def test_a_priority_is_a_whole_number_in_its_range(priority: Any) -> None:
    if priority is not None:
        with pytest.raises(InvalidTask, match="priority must be a whole number between -100 and 100"):
            framework.note.using(priority=priority)


def test_tasks_run_in_the_order_of_their_priorities() -> None:
    for priority in (0, -100, 100):
        framework.note.using(priority=priority).enqueue(priority)
    run()
    assert [call[0] for call in framework.calls] == [100, 0, -100]


@pytest.mark.parametrize(
    "changes",
    [
        {"queue_name": "x" * 256},
        {"queue_name": ""},
        {"queue_name": "a\0"},
        {"run_after": datetime.datetime(2101, 1, 1)},
        {"run_after": "tomorrow"},
        {"run_after": datetime.date(2101, 1, 1)},
        {"run_after": datetime.datetime.max.replace(tzinfo=datetime.UTC)},
        {"queue_name": "other", "backend": "patient"},
        {"lock": ""},
        {"queueing_lock": "x" * 256},
    ],
)
def test_other_options_that_are_not_valid_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidTask):
        framework.note.using(**changes)


def test_options_are_checked_again_when_a_task_is_enqueued(shop: Shop) -> None:
    slow = framework.note.using(queue_name="slow")
    with override_settings(TASKS={"default": {"BACKEND": BACKEND}}), pytest.raises(InvalidTask, match="slow"):
        slow.enqueue()
    assert jobs_seen_by_others(shop) == 0


def test_a_task_that_workers_would_not_find_is_refused(shop: Shop) -> None:
    for function in (framework.not_found_by_its_name, framework.Shelf.inner):
        with pytest.raises(InvalidTask, match="find a task by its path"):
            framework.task(function).enqueue()
    assert jobs_seen_by_others(shop) == 0


def test_a_task_that_is_due_later_is_not_run_before(shop: Shop) -> None:
    result = framework.note.using(run_after=timezone.now() + datetime.timedelta(hours=1)).enqueue()
    past = framework.note.using(run_after=timezone.now() - datetime.timedelta(hours=1)).enqueue("past")
    assert ended(result).status == TaskResultStatus.READY
    past.refresh()
    assert past.status == TaskResultStatus.SUCCESSFUL
    shop.execute("UPDATE adjourn.adjourn_jobs SET scheduled_at = now()")
    assert ended(result).status == TaskResultStatus.SUCCESSFUL


def test_without_time_zones_times_are_local() -> None:
    with override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin"):
        due = datetime.datetime(2101, 7, 1, 12)
        result = framework.note.using(run_after=due).enqueue()
        found = framework.note.get_result(result.id)
        assert (found, found.task.run_after) == (result, due)
        assert found.enqueued_at is not None and found.enqueued_at.tzinfo is None  # noqa: PT018
        assert abs(
            found.enqueued_at - datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
        ) < (datetime.timedelta(minutes=10))
        (job,) = app.job_manager.list_jobs()
        assert job.scheduled_at == datetime.datetime(2101, 7, 1, 10, tzinfo=datetime.UTC)
        done = ended(framework.note.enqueue())
        assert done.status == TaskResultStatus.SUCCESSFUL
        assert done.enqueued_at <= done.started_at <= done.finished_at


def test_enqueueing_on_commit_works_as_well() -> None:
    with transaction.atomic():
        transaction.on_commit(lambda: framework.note.enqueue(1))
        assert app.job_manager.list_jobs() == []
    run()
    assert framework.calls == [[1, {}]]


# Looking up


@pytest.mark.parametrize(
    "result_id", ["", "0", "01", "-1", "+1", " 1", "1.0", "x", "٣", str(2**63), "9" * 5000, None, "1e3"]
)
def test_what_is_no_id_has_no_result(result_id: Any) -> None:
    with pytest.raises(TaskResultDoesNotExist):
        task_backends["default"].get_result(result_id)


def test_a_job_that_is_not_there_and_one_of_another_kind_have_no_result() -> None:
    with pytest.raises(TaskResultDoesNotExist):
        framework.note.get_result(str(2**62))
    job_id = app.configure_task("plain").defer()
    with pytest.raises(TaskResultDoesNotExist):
        framework.note.get_result(str(job_id))


@pytest.mark.parametrize("path", ["no.such", "support.shop.framework.gone", "subprocess.run"])
def test_the_result_of_a_task_that_has_gone_names_its_path(path: str) -> None:
    job_id = app.configure_task(f"django:{path}").defer(args=[], kwargs={}, backend="default", run_after=None)
    with pytest.raises(InvalidTask, match=path):
        task_backends["default"].get_result(str(job_id))


# Running


@pytest.mark.parametrize("enqueued", [framework.note, framework.note_async], ids=["sync", "async"])
def test_a_task_runs_and_its_result_is_there(enqueued: Any) -> None:
    arguments = [1, "two", [3.5, None], {"4": True}, (5,), {6: 7}, 1e16, b"nine"]
    result = enqueued.enqueue(*arguments, ten=10)
    assert result.args == [1, "two", [3.5, None], {"4": True}, [5], {"6": 7}, 10**16, "nine"]
    done = ended(result)
    assert done.status == TaskResultStatus.SUCCESSFUL
    assert done.return_value == [*result.args, {"ten": 10}]
    assert framework.calls[0][: len(arguments)] == result.args
    assert done.is_finished
    assert (done.attempts, len(done.worker_ids), done.errors) == (1, 1, [])
    assert done.enqueued_at <= done.started_at <= done.finished_at
    assert done.last_attempted_at == done.started_at


def test_tasks_work_in_transactions_of_their_own() -> None:
    assert Order.objects.get(pk=ended(framework.order.enqueue()).return_value).name == "ordered"


def test_a_task_that_raises_has_failed() -> None:
    done = ended(framework.fail.enqueue())
    assert (done.status, done.attempts) == (TaskResultStatus.FAILED, 1)
    (error,) = done.errors
    assert error.exception_class is LookupError
    assert error.traceback.endswith("LookupError: lost\n")
    with pytest.raises(ValueError, match="Task failed"):
        _ = done.return_value


def test_the_options_of_the_backend_say_how_often_a_task_is_tried() -> None:
    done = ended(framework.fail.using(backend="patient").enqueue())
    assert (done.status, done.attempts, len(done.worker_ids)) == (TaskResultStatus.FAILED, 3, 3)
    assert [error.exception_class for error in done.errors] == [LookupError] * 3
    assert done.started_at <= done.last_attempted_at <= done.finished_at


def test_many_attempts_are_counted_though_the_errors_of_some_are_not_kept() -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"retry": 14}}}):
        done = ended(framework.fail.enqueue())
    assert (done.attempts, len(done.errors)) == (15, 10)
    assert done.worker_ids.count("unknown") == 5
    assert len(set(done.worker_ids)) == 2


class Later(RetryStrategy):
    """Tries again in an hour."""

    def get_retry_decision(self, *, exception: BaseException, job: Any) -> RetryDecision:
        return RetryDecision(retry_in={"hours": 1})


def test_a_task_that_waits_to_be_tried_again_is_ready() -> None:
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "OPTIONS": {"retry": Later(max_attempts=3)}}}):
        result = ended(framework.fail.enqueue())
    assert (result.status, result.attempts, len(result.errors)) == (TaskResultStatus.READY, 1, 1)
    assert result.started_at == result.last_attempted_at
    assert result.started_at is not None
    assert result.finished_at is None


@pytest.mark.parametrize("enqueued", [framework.attempt, framework.attempt_async], ids=["sync", "async"])
def test_a_task_that_takes_a_context_knows_its_attempt_and_its_result(enqueued: Any) -> None:
    result = ended(enqueued.using(backend="patient").enqueue(fails=1))
    assert result.return_value == [2, result.id]
    assert framework.calls == [[1, result.id, "RUNNING", 0, 1], [2, result.id, "RUNNING", 1, 2]]


@pytest.mark.parametrize(
    ("kind", "size", "cause"),
    [("set", 0, TypeError), ("object", 0, TypeError), ("bytes", 0, TypeError), ("nan", 0, InvalidResult)]
    + [(kind, 2000, InvalidResult) for kind in ("text", "list")],
)
def test_a_result_that_cannot_be_stored_fails_the_task_at_once(
    kind: str, size: int, cause: type[BaseException]
) -> None:
    done = ended(framework.return_.using(backend="patient").enqueue(kind, size))
    assert (done.status, done.attempts) == (TaskResultStatus.FAILED, 1)
    assert done.errors[0].exception_class is cause
    assert issubclass(cause, TypeError)
    assert done._return_value is None


def test_a_result_is_returned_as_json_has_it() -> None:
    values = [framework.return_.enqueue(kind) for kind in ("tuple", "null")]
    assert [ended(value).return_value for value in values] == [[1, [2, "three"]], None]


def test_a_task_that_is_cancelled_or_aborted_has_failed() -> None:
    cancelled = framework.note.enqueue()
    assert app.job_manager.cancel_job_by_id(int(cancelled.id))
    cancelled.refresh()
    assert (cancelled.status, cancelled.attempts, cancelled.worker_ids) == (TaskResultStatus.FAILED, 0, [])
    assert [error.exception_class for error in cancelled.errors] == [JobAborted]
    aborted = ended(framework.abort.enqueue())
    assert (aborted.status, aborted.attempts, len(aborted.worker_ids)) == (TaskResultStatus.FAILED, 1, 1)
    assert [error.exception_class for error in aborted.errors] == [JobAborted]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("subprocess.run", "not a task, but of type function"),
        ("support.shop.framework.not_a_task", "not a task"),
        ("support.shop.framework.Shelf", "not a task"),
        ("broken_module.task", "SyntaxError"),
        ("needy_module.task", "No module named 'no_such_library'"),
        ("run", "cannot be imported"),
        (".run.it", "cannot be imported"),
    ],
)
def test_a_path_that_is_no_task_fails_its_job_and_nothing_is_called(
    path: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_module.py").write_text("task = (")
    (tmp_path / "needy_module.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    arguments: dict[str, Any] = {"args": [["touch", "/tmp/no"]], "kwargs": {}, "backend": "default", "run_after": None}
    job_id = app.configure_task(f"django:{path}").defer(**arguments)
    after = framework.note.enqueue()
    run(unknown_task_timeout=0)
    (job,) = app.job_manager.list_jobs(id=job_id)
    assert job.status == "failed"
    assert message in job.errors[0]["message"]
    assert framework.calls == [[{}]]
    after.refresh()
    assert after.status == TaskResultStatus.SUCCESSFUL


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"args": 1, "kwargs": {}, "backend": "default", "run_after": None},
        {"args": [], "kwargs": {}, "backend": [], "run_after": None},
        {"args": [], "kwargs": {}, "backend": "default", "run_after": "soon"},
    ],
)
def test_a_job_that_has_no_arguments_of_a_task_fails(arguments: dict[str, Any]) -> None:
    job_id = app.configure_task("django:support.shop.framework.note").defer(**arguments)
    run()
    (job,) = app.job_manager.list_jobs(id=job_id)
    assert job.errors[0]["exception"].endswith(("InvalidTask", "InvalidTaskError"))
    assert framework.calls == []


@pytest.mark.parametrize("path", ["support.shop.framework.newer", "support.shop.newer.task", "no.such.task"])
def test_a_task_that_this_worker_does_not_have_waits_for_one_that_has(path: str) -> None:
    arguments: dict[str, Any] = {"args": [], "kwargs": {}, "backend": "default", "run_after": None}
    job_id = app.configure_task(f"django:{path}").defer(**arguments)
    run()
    run()
    (job,) = app.job_manager.list_jobs(id=job_id)
    assert (job.status, job.attempts) == ("todo", 0)


def test_a_task_of_a_backend_that_is_not_there_waits_for_a_worker_that_has_it() -> None:
    arguments: dict[str, Any] = {"args": [], "kwargs": {}, "backend": "gone", "run_after": None}
    job_id = app.configure_task("django:support.shop.framework.note").defer(**arguments)
    run()
    assert app.job_manager.get_job_status(job_id) == "todo"
    run(unknown_task_timeout=0)
    (job,) = app.job_manager.list_jobs(id=job_id)
    assert "TASKS['gone']" in job.errors[0]["message"]


def test_a_stored_task_runs_though_its_queue_is_not_allowed_any_more() -> None:
    result = framework.note.using(queue_name="slow").enqueue()
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default"]}}):
        assert ended(result).status == TaskResultStatus.SUCCESSFUL


def test_the_error_of_a_worker_that_was_lost_can_be_looked_up(shop: Shop) -> None:
    result = framework.note.enqueue()
    row = shop.execute(
        "INSERT INTO adjourn.adjourn_workers (name, expires_at) VALUES ('dead', now() - interval '1 hour') RETURNING id"
    ).fetchone()
    assert row is not None
    shop.execute(
        "UPDATE adjourn.adjourn_jobs SET worker_id = %s, claim = 1, started_at = now(), attempts = 4, losses = 4",
        [row[0]],
    )
    run(stalled_worker_timeout=0.2, update_heartbeat_interval=0.1)
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 5)
    assert result.worker_ids == ["unknown"] * 4 + [str(row[0])]
    assert result.errors[-1].exception_class is WorkerLost


WORKER = """
import sys
import support.site
from support.site import move
from adjourn.contrib.django import app

move("default", sys.argv[1])
app.run_worker(stalled_worker_timeout=0.5, update_heartbeat_interval=0.1)
"""


def kill_while_it_runs(site: str, place: Path, number: int) -> None:
    """Start a worker, wait until it has begun the task, and kill it."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    worker = subprocess.Popen([sys.executable, "-c", WORKER, site], env=environment)
    try:
        until(lambda: len(list(place.iterdir())) == number)
        (name,) = [each.name for each in place.iterdir() if each.name.startswith(f"{number - 1}-")]
        assert name == f"{number - 1}-{worker.pid}"
    finally:
        worker.kill()
        worker.wait()


def test_a_task_whose_worker_is_killed_runs_again(site: str, tmp_path: Path) -> None:
    result = framework.hang_for.enqueue(str(tmp_path), 1)
    kill_while_it_runs(site, tmp_path, 1)
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.RUNNING, 1)
    until(lambda: ended(result, stalled_worker_timeout=0.5, update_heartbeat_interval=0.1).is_finished)
    assert (result.status, result.return_value, result.attempts) == (TaskResultStatus.SUCCESSFUL, 1, 2)
    assert len(set(result.worker_ids)) == 2


@pytest.mark.skipif(not IS_THOROUGH, reason="it starts five workers, one after the other")
def test_a_task_that_has_killed_five_workers_has_failed(site: str, tmp_path: Path) -> None:
    result = framework.hang_for.enqueue(str(tmp_path), 10)
    for number in range(1, 6):
        kill_while_it_runs(site, tmp_path, number)
    until(lambda: ended(result, stalled_worker_timeout=0.5, update_heartbeat_interval=0.1).is_finished)
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 5)
    assert [error.exception_class for error in result.errors] == [WorkerLost]


@pytest.mark.skipif(not IS_THOROUGH, reason="it takes gigabytes")
def test_a_result_of_a_gigabyte_fails_the_task_and_the_worker_lives() -> None:
    result, after = framework.return_.enqueue("text", 2**30), framework.note.enqueue()
    assert ended(result).errors[0].exception_class is InvalidResult
    after.refresh()
    assert after.status == TaskResultStatus.SUCCESSFUL


def test_a_drain_of_the_testing_kit_runs_tasks_of_the_framework() -> None:
    results = [framework.note.enqueue(1), framework.note_async.enqueue(2)]
    drain(app)
    for number, result in enumerate(results, start=1):
        result.refresh()
        assert (result.return_value, result.attempts) == ([number, {}], 1)


def test_tasks_may_be_kept_in_memory(shop: Shop) -> None:
    with app.replace_connector(InMemoryConnector()):
        result = framework.attempt.using(backend="patient").enqueue(fails=1)
        assert result.enqueued_at is not None
        assert ended(result).return_value == [2, result.id]
        assert framework.attempt.get_result(result.id) == result
    assert jobs_seen_by_others(shop) == 0


# Options of adjourn's own


def test_locks_are_options_of_a_task(shop: Shop) -> None:
    locked = framework.note.using(lock="a", queueing_lock="b")
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        result = locked.enqueue(1)
        with pytest.raises(AlreadyEnqueued):
            locked.enqueue(2)
    assert len([each for each in queries if "adjourn" in each["sql"]]) == 2
    assert framework.note.get_result(result.id) == result
    (job,) = app.job_manager.list_jobs()
    assert (job.lock, job.queueing_lock) == ("a", "b")
    assert ended(result).return_value == [1, {}]


@takes_options
def test_a_task_may_be_declared_with_options_of_its_own() -> None:
    declared = framework.task(retry=1, timeout=30.0, lock="a", queueing_lock="b")(framework.fail.func)
    assert (declared.retry, declared.timeout, declared.lock, declared.queueing_lock) == (1, 30.0, "a", "b")
    assert ended(framework.stubborn.enqueue()).attempts == 2
    assert ended(framework.stubborn.using(backend="patient").enqueue()).attempts == 2
    for wrong in ({"retry": "often"}, {"timeout": -1}, {"lock": ""}, {"queueing_lock": 3}):
        with pytest.raises(InvalidTask, match=next(iter(wrong))):
            framework.task(**wrong)(framework.fail.func)


def declared() -> None:
    """Do nothing."""


def test_a_function_may_have_the_options_on_any_version() -> None:
    made = framework.task(options(retry=1, timeout=30.0, lock="a", queueing_lock="b")(declared))
    assert (made.retry, made.timeout, made.lock, made.queueing_lock) == (1, 30.0, "a", "b")
    used = made.using(priority=3, lock="c")
    assert (used.priority, used.retry, used.lock, used.queueing_lock) == (3, 1, "c", "b")
    assert ended(framework.dogged.enqueue()).attempts == 2
    for wrong in ({"retry": "often"}, {"timeout": -1}, {"lock": ""}, {"queueing_lock": 3}):
        with pytest.raises(InvalidTask, match=next(iter(wrong))):
            framework.task(options(**wrong)(declared))
    with pytest.raises(TypeError, match="put @options below @task"):
        options(retry=1)(made)


# Signals


@contextlib.contextmanager
def receiving(*receivers: tuple[Any, Any]) -> Iterator[None]:
    for sent, receiver in receivers:
        sent.connect(receiver, weak=False)
    try:
        yield
    finally:
        for sent, receiver in receivers:
            sent.disconnect(receiver)


@pytest.mark.parametrize("enqueued", [framework.attempt, framework.attempt_async], ids=["sync", "async"])
@pytest.mark.parametrize("fails", [0, 1, 3])
def test_signals_come_in_order_the_last_when_the_outcome_is_stored(enqueued: Any, fails: int) -> None:
    told: list[Any] = []

    def receive(sender: Any, task_result: Any, signal: Any, **_: Any) -> None:
        name = next(name for name, each in signals.items() if each is signal)
        stored = "todo" if name == "enqueued" else app.job_manager.get_job_status(int(task_result.id)).value
        told.append((name, sender, task_result.status, task_result.attempts, len(task_result.errors), stored))
        if name == "finished":
            finished.append(task_result)

    async def receive_started(task_result: Any, **_: Any) -> None:
        told.append(
            ("started", AdjournBackend, task_result.status, task_result.attempts, len(task_result.errors), "doing")
        )

    finished: list[Any] = []
    signals = {"enqueued": task_enqueued, "started": task_started, "finished": task_finished}
    receivers = [(task_enqueued, receive), (task_started, receive_started), (task_finished, receive)]
    with receiving(*receivers):
        result = ended(enqueued.using(backend="patient").enqueue(fails=fails))
    attempts = min(fails, 2) + 1
    status, stored = ("SUCCESSFUL", "succeeded") if fails < 3 else ("FAILED", "failed")
    assert told == [
        ("enqueued", AdjournBackend, "READY", 0, 0, "todo"),
        *(("started", AdjournBackend, "RUNNING", number, number - 1, "doing") for number in range(1, attempts + 1)),
        ("finished", AdjournBackend, status, attempts, fails, stored),
    ]
    (sent,) = finished
    assert (sent.id, sent._return_value, sent.worker_ids) == (result.id, result._return_value, result.worker_ids)
    assert [each.exception_class for each in sent.errors] == [each.exception_class for each in result.errors]
    assert sent.started_at <= sent.finished_at


def test_a_receiver_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def receive(**_: Any) -> None:
        raise ZeroDivisionError

    receivers = [(signal, receive) for signal in (task_enqueued, task_started, task_finished)]
    with receiving(*receivers):
        results = [framework.note.enqueue(), asyncio.run(framework.note_async.aenqueue())]
        failed = framework.fail.enqueue()
        run()
    for result in (*results, failed):
        result.refresh()
    assert [result.status for result in (*results, failed)] == ["SUCCESSFUL", "SUCCESSFUL", "FAILED"]
    assert len([record for record in caplog.records if record.name == "django.dispatch"]) == 9


def test_the_framework_logs_the_error_of_a_task_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    framework.fail.enqueue()
    run()
    logger = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
    (record,) = [each for each in caplog.records if each.name == logger and each.levelname == "ERROR"]
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


# Settings


def checked(**settings: Any) -> str:
    """Run the system checks, and return what they say."""
    with override_settings(**settings):
        try:
            call_command("check")
        except SystemCheckError as error:
            return str(error)
    return ""


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"OPTIONS": {"retries": 3}}, "retries.*retry"),
        ({"OPTIONS": {"retry": "often"}}, "retry='often'"),
        ({"OPTIONS": {"timeout": -1}}, "timeout=-1"),
        ({"OPTIONS": {"max_result_size": 0.5}}, "max_result_size=0.5"),
        ({"OPTIONS": ["retry"]}, "OPTIONS"),
        ({"QUEUES": "default"}, "QUEUES='default'"),
        ({"QUEUES": None}, "QUEUES=None"),
        ({"QUEUES": ["a", 3]}, "QUEUES=3"),
    ],
)
def test_wrong_options_are_check_errors(params: dict[str, Any], message: str, shop: Shop) -> None:
    settings = {"default": {"BACKEND": BACKEND, **params}}
    found = " ".join(checked(TASKS=settings).split())
    assert "(adjourn.E008) TASKS['default']: " in found
    assert re.search(message, found)
    with override_settings(TASKS=settings), pytest.raises(ImproperlyConfigured, match="default"):
        framework.note.enqueue()
    assert jobs_seen_by_others(shop) == 0


def test_the_backend_without_the_application_is_a_check_error() -> None:
    without = [each.name for each in apps.get_app_configs() if each.name != "adjourn.contrib.django"]
    found = checked(INSTALLED_APPS=without)
    assert "(adjourn.E006)" in found
    assert "INSTALLED_APPS" in found
    with override_settings(INSTALLED_APPS=without):
        for call in (framework.note.enqueue, lambda: framework.note.get_result("1")):
            with pytest.raises(ImproperlyConfigured, match="INSTALLED_APPS"):
                call()


def test_a_database_that_is_no_postgres_is_a_check_error() -> None:
    assert "(adjourn.E002)" in checked(ADJOURN_DATABASE_ALIAS="sqlite")
    with override_settings(ADJOURN_DATABASE_ALIAS="sqlite"), pytest.raises(ImproperlyConfigured, match="PostgreSQL"):
        framework.note.enqueue()


def test_right_settings_are_no_check_error() -> None:
    assert checked() == ""
    assert all(isinstance(each, Task) for each in (framework.note, framework.other))
