"""What a worker says when it starts about tasks that retry without a wait."""

from __future__ import annotations

import pytest

import adjourn
from adjourn import events
from adjourn.testing import InMemoryConnector
from support.bench import Bench


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=InMemoryConnector())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.__dict__.get("action") == "retries_without_wait"]


async def test_tasks_that_retry_without_a_wait_are_named_once_with_what_to_write(
    app: adjourn.App, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[events.RetriesWithoutWait] = []
    app.events.subscribe(events.RetriesWithoutWait, told.append)
    app.task(lambda: None, name="five", aliases=["other"], retry=5)
    app.task(lambda: None, name="endless", retry=True)
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
    strategies = (None, False, 0, adjourn.RetryStrategy(max_attempts=5), adjourn.RetryStrategy(wait=1))
    for number, retry in enumerate(strategies):
        app.task(lambda: None, name=f"task {number}", retry=retry)
    replaced = app.task(lambda: None, name="replaced", retry=5)
    replaced.retry_strategy = adjourn.RetryStrategy(wait=1)
    await Bench(app).drain()
    assert warnings(caplog) == []


async def test_a_list_of_names_without_end_is_cut(app: adjourn.App, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(300):
        app.task(lambda: None, name=f"task {number}", retry=1)
    await Bench(app).drain()
    (message,) = warnings(caplog)
    assert message.endswith("...")
    assert len(message) < 1000
