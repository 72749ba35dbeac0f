"""A drain runs what was deferred, as a worker would, alike in memory, on Postgres and in a transaction."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import Any

import freezegun
import pytest
import time_machine

import adjourn
from adjourn import testing
from adjourn.connectors.memory import InMemoryConnector
from adjourn.exceptions import (
    AlreadyEnqueued,
    InvalidResult,
    JobAborted,
    JobTimeout,
    TaskNotFound,
    TooManyJobs,
    WrongCaller,
)
from kit.conftest import Shop

HOUR = datetime.timedelta(hours=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def test_jobs_and_what_they_defer_run_in_order_of_priority(shop: Shop) -> None:
    shop.configured(shop.order).defer(number=1)
    shop.configured(shop.send).defer(number=2)
    shop.configured(shop.send, priority=5).defer(number=3)
    drained = shop.drain()
    assert (drained.succeeded, drained.failed, drained.left) == (4, 0, 0)
    assert shop.sent == [3, 2, 1]
    assert {job.status for job in shop.deferred()} == {"succeeded"}


def test_what_jobs_defer_stays_if_the_drain_is_not_recursive(shop: Shop) -> None:
    shop.configured(shop.order).defer(number=1)
    assert shop.drain(recursive=False) == testing.Drained(succeeded=1, left=1)
    assert shop.sent == []


def test_only_the_named_queues_are_drained(shop: Shop) -> None:
    shop.configured(shop.send, queue="mail").defer(number=1)
    shop.configured(shop.send).defer(number=2)
    assert shop.drain(queues=["mail"]) == testing.Drained(succeeded=1)
    assert shop.sent == [1]


def test_a_scheduled_job_waits_for_its_time(shop: Shop) -> None:
    shop.configured(shop.send, schedule_in={"hours": 1}).defer(number=1)
    assert shop.drain() == testing.Drained(left=1)
    assert shop.drain(until=now() + HOUR / 2).left == 1
    assert shop.drain(until=now() + 2 * HOUR).succeeded == 1
    assert shop.sent == [1]


def test_scheduled_jobs_run_if_asked_for(shop: Shop) -> None:
    shop.configured(shop.send, schedule_in={"hours": 1}, lock="one").defer(number=1)
    assert shop.drain(with_scheduled=True).succeeded == 1


def test_time_passes_for_a_scheduled_job(shop: Shop) -> None:
    shop.configured(shop.send, schedule_in={"hours": 1}).defer(number=1)
    shop.travel(minutes=59)
    assert shop.drain().left == 1
    shop.travel(minutes=1)
    assert shop.drain().succeeded == 1


@pytest.mark.timeout(60)
def test_under_a_frozen_clock_an_async_task_still_waits_and_is_stopped_by_its_timeout() -> None:
    app = adjourn.App(connector=InMemoryConnector())

    @app.task(name="short")
    async def short() -> None:
        await asyncio.sleep(0.01)

    @app.task(name="long", timeout=0.05)
    async def long() -> None:
        await asyncio.sleep(3600)

    short.defer()
    long.defer()
    with freezegun.freeze_time(now()):
        drained = testing.drain(app, raise_failures=False)
    assert (drained.succeeded, drained.failed) == (1, 1)


@pytest.mark.parametrize("freeze", [freezegun.freeze_time, time_machine.travel])
def test_a_frozen_clock_decides_what_is_due(shop: Shop, freeze: Any) -> None:
    shop.configured(shop.send, schedule_at=now() + HOUR).defer(number=1)
    with freeze(now() + HOUR / 2):
        assert shop.drain().left == 1
    with freeze(now() + HOUR):
        assert shop.drain().succeeded == 1


@pytest.mark.parametrize("year", [2001, 2101])
def test_a_clock_that_is_frozen_from_the_start_decides_what_is_due(shop: Shop, year: int) -> None:
    start = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
    with freezegun.freeze_time(start) as clock:
        shop.configured(shop.send, schedule_at=start + HOUR, lock="one").defer(number=1)
        shop.configured(shop.send, lock="one").defer(number=2)
        assert shop.drain() == testing.Drained(succeeded=1, left=1)
        clock.tick(HOUR)
        assert shop.drain() == testing.Drained(succeeded=1)
    assert shop.sent == [2, 1]


def test_jobs_of_one_lock_run_in_order_of_priority_and_then_of_deferring(shop: Shop) -> None:
    for number in (1, 2):
        shop.configured(shop.send, lock="one").defer(number=number)
    shop.configured(shop.send, lock="one", priority=1).defer(number=3)
    assert shop.drain().succeeded == 3
    assert shop.sent == [3, 1, 2]


def test_a_queueing_lock_is_taken_until_its_job_runs(shop: Shop) -> None:
    shop.configured(shop.send, queueing_lock="one").defer(number=1)
    with pytest.raises(AlreadyEnqueued):
        shop.configured(shop.send, queueing_lock="one").defer(number=2)
    assert shop.drain().succeeded == 1
    shop.configured(shop.send, queueing_lock="one").defer(number=3)


def test_a_task_without_an_end_is_named(shop: Shop) -> None:
    @shop.app.task(name="again")
    def again() -> None:
        again.defer()

    shop.configured(again).defer()
    with pytest.raises(TooManyJobs, match=r"has run 7 jobs.*max_jobs=7.*again \(7 runs\).*recursive=False"):
        shop.drain(max_jobs=7)
    assert len(shop.deferred("again", status="todo")) == 1


def test_as_many_jobs_as_may_run_are_not_too_many(shop: Shop) -> None:
    for number in range(3):
        shop.configured(shop.send).defer(number=number)
    assert shop.drain(max_jobs=3).succeeded == 3


def test_a_failure_is_raised_as_the_task_raised_it(shop: Shop) -> None:
    @shop.app.task(name="break")
    def break_() -> None:
        raise ZeroDivisionError("a task of mine")

    shop.configured(break_).defer()
    shop.configured(shop.send, priority=-1).defer(number=1)
    with pytest.raises(ZeroDivisionError, match="a task of mine") as caught:
        shop.drain()
    assert caught.traceback[-1].name == "break_"
    assert "job break[" in caught.value.__notes__[0]
    (job,) = shop.deferred("break")
    assert job.status == "failed"
    assert job.errors[0]["message"] == "a task of mine"
    assert shop.deferred("send")[0].status == "todo"


def test_a_failure_is_reported_if_it_is_not_to_be_raised(shop: Shop) -> None:
    @shop.app.task(name="break")
    async def break_() -> None:
        raise ZeroDivisionError("a task of mine")

    shop.configured(break_).defer()
    shop.configured(shop.send).defer(number=1)
    drained = shop.drain(raise_failures=False)
    assert (drained.succeeded, drained.failed) == (1, 1)
    (failure,) = drained.failures
    assert failure.job.task_name == "break"
    assert isinstance(failure.error, ZeroDivisionError)


def test_retries_run_at_once(shop: Shop) -> None:
    attempts = []

    @shop.app.task(name="flaky", retry=adjourn.RetryStrategy(max_attempts=2, wait=3600), pass_context=True)
    def flaky(context: adjourn.JobContext) -> None:
        attempts.append(context.job.attempts)
        if len(attempts) < 3:
            raise ConnectionError

    shop.configured(flaky).defer()
    assert shop.drain() == testing.Drained(succeeded=1, retried=2)
    assert attempts == [0, 1, 2]


@pytest.mark.parametrize("wait", [0, 3600])
def test_retries_wait_if_they_are_not_to_run(shop: Shop, wait: int) -> None:
    @shop.app.task(name="flaky", retry=adjourn.RetryStrategy(max_attempts=2, wait=wait))
    def flaky() -> None:
        raise ConnectionError

    shop.configured(flaky).defer()
    assert shop.drain(retries=False) == testing.Drained(retried=1, left=1)


def test_what_a_task_returns_is_stored_if_that_is_asked_for(shop: Shop) -> None:
    @shop.app.task(name="count", store_result=True)
    def count(items: list[int]) -> Any:
        return len(items) or object()

    shop.configured(count).defer(items=[1, 2])
    assert shop.drain().succeeded == 1
    assert shop.deferred("count")[0].result == 2
    shop.configured(count).defer(items=[])
    with pytest.raises(InvalidResult, match="of type object"):
        shop.drain()
    with pytest.raises(InvalidResult, match="of type object"):
        testing.perform(count, items=[])


def test_a_job_that_aborts_itself_counts_as_cancelled(shop: Shop) -> None:
    @shop.app.task(name="stop")
    def stop() -> None:
        raise JobAborted

    shop.configured(stop).defer()
    assert shop.drain() == testing.Drained(cancelled=1)
    assert shop.deferred("stop")[0].status == "aborted"


def test_a_periodic_task_is_never_deferred_by_a_drain(shop: Shop) -> None:
    @shop.app.periodic(cron="* * * * *")
    @shop.app.task(name="nightly")
    def nightly(timestamp: int) -> None:
        raise AssertionError("nobody has asked for it")

    shop.configured(shop.send).defer(number=1)
    assert shop.drain() == testing.Drained(succeeded=1)
    assert shop.deferred("nightly") == []


def test_middleware_and_context_are_those_of_a_worker(shop: Shop) -> None:
    seen: list[Any] = []

    async def around(call_next: Any, context: Any, worker: Any) -> Any:
        seen.append((context.job.task_name, worker.options.name))
        return await call_next()

    shop.app.worker_defaults = {"worker_middleware": [around], "name": "mine", "additional_context": {"a": 1}}

    @shop.app.task(name="look", pass_context=True)
    def look(context: adjourn.JobContext) -> None:
        seen.append((context.task.name, context.additional_context, context.should_abort()))

    shop.configured(look).defer()
    shop.configured(shop.order, priority=-1).defer(number=1)
    assert shop.drain().succeeded == 3
    assert seen == [("look", "mine"), ("look", {"a": 1}, False), ("order", "mine"), ("send", "mine")]


def test_a_run_has_its_time_out(shop: Shop) -> None:
    @shop.app.task(name="slow", timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(60)

    @shop.app.task(name="slow_thread", timeout=0.01, pass_context=True)
    def slow_thread(context: adjourn.JobContext) -> None:
        while not context.should_abort():
            time.sleep(0.001)
        raise JobAborted

    shop.configured(slow).defer()
    shop.configured(slow_thread).defer()
    drained = shop.drain(raise_failures=False)
    assert [type(failure.error) for failure in drained.failures] == [JobTimeout, JobTimeout]


def test_a_job_of_an_unknown_task_stays_and_is_told(shop: Shop) -> None:
    shop.app.configure_task("elsewhere", connection=shop.connection).defer()
    with pytest.raises(TaskNotFound, match=r"'elsewhere'.*import_paths"):
        shop.drain()
    assert shop.deferred("elsewhere")[0].status == "todo"


def test_what_ends_the_test_puts_the_job_back(shop: Shop) -> None:
    @shop.app.task(name="fail")
    def fail() -> None:
        pytest.fail("found by a task")

    shop.configured(fail).defer()
    with pytest.raises(pytest.fail.Exception, match="found by a task"):
        shop.drain()
    assert shop.deferred("fail")[0].status == "todo"


async def test_a_drain_that_blocks_is_refused_on_an_event_loop() -> None:
    app = adjourn.App(connector=testing.InMemoryConnector())
    with pytest.raises(WrongCaller, match=r"await drain_async\(\.\.\.\)"):
        testing.drain(app)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"until": datetime.datetime(2030, 1, 1)}, "until"),
        ({"max_jobs": "1"}, "max_jobs"),
        ({"recursive": None}, "recursive"),
        ({"queues": "mail"}, "queues"),
    ],
)
def test_options_that_are_not_valid_are_named(options: dict[str, Any], words: str) -> None:
    app = adjourn.App(connector=testing.InMemoryConnector())
    with pytest.raises(adjourn.exceptions.InvalidOption, match=words):
        testing.drain(app, **options)
