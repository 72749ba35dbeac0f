"""Tasks that remember steps, sleep, wait for events and complete themselves, in the tests of an application."""

from __future__ import annotations

from typing import Any

import pytest

import adjourn
from adjourn import testing
from adjourn.exceptions import EventTimeout, SuspensionIgnored
from adjourn.testing import InMemoryConnector
from kit.conftest import Shop

HOUR = 3600.0


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def story(shop: Shop, calls: list[str]) -> Any:
    @shop.app.task(name="story", pass_context=True)
    def story(context: adjourn.JobContext) -> None:
        context.step("begin", calls.append, "begin")
        context.sleep(HOUR)
        try:
            calls.append(context.wait_for_event("e", timeout=HOUR))
        except EventTimeout:
            calls.append("late")

    return story


def test_a_job_that_sleeps_is_told_and_wakes_when_time_has_passed(shop: Shop, story: Any, calls: list[str]) -> None:
    shop.configured(story).defer()
    assert shop.drain() == testing.Drained(suspended=1, left=1)
    shop.travel(hours=1)
    assert shop.drain() == testing.Drained(suspended=1, left=1)
    assert calls == ["begin"]
    shop.travel(hours=1)
    assert shop.drain() == testing.Drained(succeeded=1)
    assert calls == ["begin", "late"]


def test_all_that_is_scheduled_includes_what_sleeps(shop: Shop, story: Any, calls: list[str]) -> None:
    shop.configured(story).defer()
    assert shop.drain(with_scheduled=True) == testing.Drained(succeeded=1, suspended=2)
    assert calls == ["begin", "late"]


def test_a_task_that_catches_what_ends_its_run_fails_in_a_test_as_it_does_with_a_worker(shop: Shop) -> None:
    @shop.app.task(pass_context=True)
    def bad(context: adjourn.JobContext) -> None:
        try:
            context.sleep(HOUR)
        except BaseException:
            print("Something went wrong.")

    shop.configured(bad).defer()
    with pytest.raises(SuspensionIgnored, match="raise it again"):
        shop.drain()


def test_a_task_that_is_performed_remembers_nothing() -> None:
    app = adjourn.App(connector=InMemoryConnector())
    calls: list[str] = []

    @app.task(pass_context=True)
    def story(context: adjourn.JobContext) -> None:
        context.step("begin", calls.append, "begin")
        context.sleep(HOUR)
        calls.append(context.wait_for_event("e"))

    for _ in range(2):
        with pytest.raises(EventTimeout):
            testing.perform(story)
    app.send_event("e", "sent")
    testing.perform(story)
    assert calls == ["begin", "begin", "begin", "sent"]
