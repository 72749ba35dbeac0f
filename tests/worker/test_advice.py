"""What a worker says when it starts about tasks that retry without a wait."""

from __future__ import annotations

import pytest

import adjourn
from adjourn import events
from adjourn.retry import RetryValue
from adjourn.testing import InMemoryConnector
from support.bench import Bench


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=InMemoryConnector())


def nothing() -> None: ...


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.__dict__.get("action") == "retries_without_wait"]


async def test_tasks_that_retry_without_a_wait_are_named_once_with_what_to_write(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[events.RetriesWithoutWait] = []
    app.events.subscribe(events.RetriesWithoutWait, told.append)
    app.task(name="five", aliases=["other"], retry=5)(nothing)
    app.task(name="endless", retry=True)(nothing)
    assert warnings(caplog) == []
    for _ in range(2):
        await Bench(app).drain()
    (message,) = warnings(caplog)
    assert message.endswith("Concerned: endless, five")
    assert "RetryStrategy(max_attempts=5, exponential_wait=2)" in message
    assert [event.task_names for event in told] == [("endless", "five")]


async def test_tasks_that_do_not_retry_or_say_how_are_not_named(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    retries: list[RetryValue | None] = [None, False, 0]
    retries += [adjourn.RetryStrategy(max_attempts=5), adjourn.RetryStrategy(wait=1)]
    for number, retry in enumerate(retries):
        app.task(name=f"task {number}", retry=retry)(nothing)
    replaced = app.task(name="replaced", retry=5)(nothing)
    replaced.retry_strategy = adjourn.RetryStrategy(wait=1)
    await Bench(app).drain()
    assert warnings(caplog) == []


async def test_a_list_of_names_without_end_is_cut(app: adjourn.App, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(300):
        app.task(name=f"task {number}", retry=1)(nothing)
    await Bench(app).drain()
    (message,) = warnings(caplog)
    assert message.endswith("...")
    assert len(message) < 1000
