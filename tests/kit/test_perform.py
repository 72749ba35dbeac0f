"""One task is run as a worker would run it, and jobs are run where they are deferred."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

import adjourn
from adjourn import testing
from adjourn.exceptions import (
    InvalidOption,
    InvalidTaskArguments,
    JobRetry,
    JobTimeout,
    TooManyJobs,
    UnboundTaskError,
    WrongCaller,
)
from adjourn.testing import InMemoryConnector
from kit.conftest import Shop


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=InMemoryConnector())


def test_a_task_returns_what_it_returns_and_no_job_is_stored(shop: Shop) -> None:
    assert testing.perform(shop.send, number=2) == 4
    assert (shop.sent, shop.deferred()) == ([2], [])


async def test_a_task_of_either_colour_is_performed_on_an_event_loop(app: adjourn.App) -> None:
    @app.task(name="async")
    async def async_(number: int) -> int:
        return number

    @app.task(name="sync")
    def sync(number: int) -> int:
        return number

    assert await testing.perform_async(async_, number=1) == 1
    assert await testing.perform_async(sync, number=2) == 2
    assert testing.perform(sync, number=3) == 3
    with pytest.raises(WrongCaller, match="await perform_async"):
        testing.perform(async_, number=4)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"number": datetime.datetime(2030, 1, 1)}, "argument 'number' cannot be stored"),
        ({"nummber": 1}, "takes no argument 'nummber'; did you mean 'number'"),
        ({}, "missing argument 'number'"),
    ],
)
def test_arguments_that_could_not_be_deferred_cannot_be_performed(
    shop: Shop, kwargs: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidTaskArguments, match=words):
        testing.perform(shop.send, **kwargs)
    with testing.inline(shop.app), pytest.raises(InvalidTaskArguments, match=words):
        shop.send.defer(**kwargs)
    assert shop.sent == []


def test_a_task_gets_what_its_arguments_become_in_the_database(app: adjourn.App) -> None:
    @app.task(name="look", pass_context=True)
    def look(context: adjourn.JobContext, pair: Any) -> Any:
        assert isinstance(context.job.id, int)
        return pair, context.job.task_kwargs

    assert testing.perform(look, pair=(1, 2)) == ([1, 2], {"pair": [1, 2]})


def test_what_a_task_raises_is_raised_and_a_retry_is_noted(app: adjourn.App) -> None:
    @app.task(name="flaky", retry=adjourn.RetryStrategy(max_attempts=1, wait=60))
    def flaky() -> None:
        raise ConnectionError("gone")

    @app.task(name="again")
    def again() -> None:
        raise JobRetry(adjourn.RetryDecision()) from ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone") as caught:
        testing.perform(flaky)
    assert caught.value.__notes__[0].startswith("The job would be retried at 2")
    with pytest.raises(ConnectionError, match="gone") as caught:
        testing.perform(again)
    assert caught.value.__notes__ == ["The job would be retried at once."]


def test_a_task_that_takes_too_long_is_stopped(app: adjourn.App) -> None:
    @app.task(name="slow", timeout=0.01)
    async def slow() -> None:
        await asyncio.sleep(60)

    with pytest.raises(JobTimeout, match=r"0\.01 s"):
        testing.perform(slow)


def test_only_tasks_of_an_app_can_be_performed() -> None:
    blueprint = adjourn.Blueprint()

    @blueprint.task(name="lonely")
    def lonely() -> None:
        """Do nothing."""

    with pytest.raises(UnboundTaskError, match="add_tasks_from"):
        testing.perform(lonely)
    with pytest.raises(InvalidOption, match="task="):
        testing.perform(print)  # type: ignore[arg-type]


def test_jobs_run_where_they_are_deferred_and_have_ids_of_their_own(shop: Shop) -> None:
    with testing.inline(shop.app):
        ids = [shop.configured(shop.order, schedule_in={"hours": 1}).defer(number=number) for number in (1, 2)]
        ids += shop.configured(shop.send, lock="a", queueing_lock="b").batch_defer({"number": 3}, {"number": 4})
    assert shop.sent == [1, 2, 3, 4]
    assert len(set(ids)) == 4
    assert shop.deferred() == []
    shop.configured(shop.send).defer(number=5)
    assert shop.drain().succeeded == 1


async def test_jobs_that_are_deferred_on_an_event_loop_run_there(app: adjourn.App) -> None:
    ran: list[Any] = []

    @app.task(name="sync")
    def sync(number: int) -> None:
        ran.append(number)

    @app.task(name="async")
    async def async_(number: int) -> None:
        ran.append(asyncio.get_running_loop())
        await sync.defer_async(number=number)

    with testing.inline(app):
        await async_.defer_async(number=1)
        await sync.batch_defer_async({"number": 2}, {"number": 3})
    assert ran == [asyncio.get_running_loop(), 1, 2, 3]


def test_a_failure_reaches_whoever_defers(app: adjourn.App) -> None:
    @app.task(name="break", retry=5)
    def break_() -> None:
        raise ZeroDivisionError

    with testing.inline(app), pytest.raises(ZeroDivisionError):
        break_.defer()
    break_.defer()
    assert len(testing.deferred(app)) == 1


def test_jobs_that_defer_each_other_without_an_end_are_named(app: adjourn.App) -> None:
    @app.task(name="again")
    def again() -> None:
        again.defer()

    with testing.inline(app), pytest.raises(TooManyJobs, match=r"50 jobs.*again\["):
        again.defer()
