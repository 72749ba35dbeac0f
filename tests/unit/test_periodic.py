"""Declaring periodic tasks, and which of their ticks are due."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn._domain.schedules import DueTicks
from adjourn.periodic import PeriodicTask
from adjourn.testing import InMemoryConnector

NOW = datetime.datetime(2026, 1, 1, 12, 0, 30, tzinfo=datetime.UTC)
LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def app() -> adjourn.App:
    return adjourn.App(connector=adjourn.PsycopgConnector("host=nowhere.invalid"))


def declared(app: adjourn.App, **options: Any) -> PeriodicTask:
    @app.periodic(**{"cron": "* * * * *", **options})
    @app.task(name="tick")
    def tick(timestamp: int, x: int = 0) -> None: ...

    (periodic_task,) = app.periodic_registry.periodic_tasks.values()
    return periodic_task


def clock(ticks: Iterable[datetime.datetime]) -> list[str]:
    return [f"{tick:%H:%M}" for tick in ticks]


def due(periodic_task: PeriodicTask, since: datetime.datetime | None, max_delay: float | None = None) -> DueTicks:
    return periodic_task.due(since, NOW, max_delay, is_up=False)


def missed(periodic_task: PeriodicTask, since: datetime.datetime | None, max_delay: float | None = None) -> list[str]:
    return clock(due(periodic_task, since, max_delay).ticks)


def ago(**time: float) -> datetime.datetime:
    return NOW - datetime.timedelta(**time)


def test_of_what_was_missed_the_latest_tick_is_due_unless_it_is_too_old(app: adjourn.App) -> None:
    periodic_task = declared(app)
    for since in (LONG_AGO, None):
        assert missed(periodic_task, since) == ["12:00"]
        assert missed(periodic_task, since, 20) == []
    assert missed(periodic_task, NOW) == []


@pytest.mark.parametrize("named", ["latest", "all"])
def test_what_missed_promises_is_not_taken_back_by_the_default_of_max_delay(app: adjourn.App, named: str) -> None:
    hourly = declared(app, missed=named, cron="5 * * * *")
    assert missed(hourly, ago(hours=1)) == ["11:05"]
    assert missed(hourly, ago(hours=3)) == (["11:05"] if named == "latest" else ["09:05", "10:05", "11:05"])
    assert missed(hourly, ago(hours=3), 600) == []
    assert missed(hourly, None) == []


def test_without_missed_the_default_of_max_delay_holds(app: adjourn.App) -> None:
    hourly = declared(app, cron="5 * * * *")
    skipped = due(hourly, ago(hours=3))
    assert clock(skipped.ticks) == []
    assert skipped.skipped == NOW.replace(hour=11, minute=5, second=0)
    assert (skipped.reason, skipped.max_delay) == ("too_late", 600)
    assert missed(hourly, ago(hours=3), 3600) == ["11:05"]


def test_of_all_that_was_missed_the_latest_that_is_too_late_is_named(app: adjourn.App) -> None:
    found = due(declared(app, missed="all", max_delay=160), LONG_AGO)
    assert clock(found.ticks) == ["11:58", "11:59", "12:00"]
    assert found.skipped is not None
    assert clock([found.skipped]) == ["11:57"]


def test_a_tick_that_was_deferred_is_not_named_as_skipped(app: adjourn.App) -> None:
    assert due(declared(app, max_delay=20), NOW.replace(second=0)).skipped is None


def test_a_time_in_the_future_counts_as_now(app: adjourn.App) -> None:
    found = due(declared(app, missed="all"), ago(hours=-1))
    assert list(found.ticks) == []
    assert found.skipped is None


def test_all_missed_ticks_are_due_where_asked_for_but_none_was_missed_before_there_was_a_schedule(
    app: adjourn.App,
) -> None:
    periodic_task = declared(app, missed="all", max_delay=160)
    assert missed(periodic_task, LONG_AGO) == ["11:58", "11:59", "12:00"]
    assert missed(periodic_task, ago(seconds=60)) == ["12:00"]
    assert missed(periodic_task, None) == ["12:00"]


def test_missed_ticks_are_skipped_where_asked_for(app: adjourn.App) -> None:
    periodic_task = declared(app, missed="skip", cron="55 * * * *")
    skipped = due(periodic_task, LONG_AGO)
    assert clock(skipped.ticks) == []
    assert (skipped.reason, skipped.max_delay) == ("missed", 60)
    on_time = NOW.replace(hour=11, minute=55)
    assert clock(periodic_task.due(LONG_AGO, on_time, None, is_up=False).ticks) == ["11:55"]
    often = declared(adjourn.App(connector=InMemoryConnector()), missed="skip", cron="* * * * * */10")
    assert len(missed(often, LONG_AGO)) == 1


@pytest.mark.parametrize("named", [None, "skip", "latest", "all"])
def test_every_tick_since_the_last_look_is_due(app: adjourn.App, named: str | None) -> None:
    periodic_task = declared(app, missed=named, max_delay=160)
    found = periodic_task.due(ago(seconds=100), NOW, None, is_up=True)
    assert clock(found.ticks) == ["11:59", "12:00"]
    assert found.skipped is None
    assert clock(periodic_task.due(LONG_AGO, NOW, None, is_up=True).ticks) == ["11:58", "11:59", "12:00"]


@pytest.mark.parametrize(
    ("named", "expected"), [(None, []), ("skip", []), ("latest", ["11:05"]), ("all", ["09:05", "10:05", "11:05"])]
)
def test_a_worker_that_could_not_look_for_long_has_missed_the_ticks_of_that_time(
    app: adjourn.App, named: str | None, expected: list[str]
) -> None:
    found = declared(app, missed=named, cron="5 * * * *").due(ago(hours=3), NOW, None, is_up=True)
    assert clock(found.ticks) == expected
    assert (found.skipped is None) == bool(expected)


def test_the_latest_of_many_ticks_is_found_without_looking_at_all_of_them(app: adjourn.App) -> None:
    periodic_task = declared(app, cron="* * * * * *", max_delay=10 * 365 * 24 * 3600)
    assert missed(periodic_task, None) == [f"{NOW:%H:%M}"]


def test_a_task_may_have_several_schedules_that_differ_in_their_id(app: adjourn.App) -> None:
    task = declared(app, periodic_id="a").task
    app.periodic(cron="@daily", periodic_id="b", queue="slow")(task)
    assert [each.periodic_id for each in app.periodic_registry.periodic_tasks.values()] == ["a", "b"]
    with pytest.raises(exceptions.TaskAlreadyRegistered, match="periodic_id='b'"):
        app.periodic(cron="@hourly", periodic_id="b")(task)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cron": "often"}, "cron='often'"),
        ({"timezone": "Mars"}, "timezone='Mars'"),
        ({"missed": "sometimes"}, "missed='sometimes'"),
        ({"max_delay": -1}, "max_delay=-1"),
        ({"max_delay": float("inf")}, "max_delay=inf"),
        ({"max_delay": float("nan")}, "max_delay=nan"),
        ({"max_delay": 1e12}, "max_delay=1000000000000.0"),
        ({"periodic_id": 5}, "periodic_id=5"),
        ({"queue": ""}, "queue="),
        ({"task_kwargs": {"y": 1}}, "takes no argument 'y'"),
        ({"task_kwargs": {"timestamp": 1}}, "leave `timestamp` out"),
        ({"task_kwargs": {"x": object()}}, "'x' cannot be stored as JSON"),
        ({"schedule_in": {"seconds": 1}}, "'schedule_in' is not an option of periodic tasks"),
    ],
)
def test_options_that_make_no_sense_are_refused_when_the_task_is_declared(
    app: adjourn.App, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(exceptions.InvalidOption, match=words):
        declared(app, **options)
    assert not app.periodic_registry.periodic_tasks


def test_a_periodic_task_takes_a_timestamp(app: adjourn.App) -> None:
    with pytest.raises(exceptions.InvalidOption, match="called with `timestamp`"):

        @app.periodic(cron="* * * * *")
        @app.task
        def without() -> None: ...


def test_the_decorators_are_to_be_in_the_right_order(app: adjourn.App) -> None:
    with pytest.raises(exceptions.InvalidOption, match=r"above @app\.task"):

        @app.task
        @app.periodic(cron="* * * * *")  # type: ignore[arg-type]
        def tick(timestamp: int) -> None: ...


def test_a_blueprint_brings_its_periodic_tasks_along(app: adjourn.App) -> None:
    blueprint = adjourn.Blueprint()

    @blueprint.periodic(cron="* * * * *")
    @blueprint.task(name="tick")
    def tick(timestamp: int) -> None: ...

    app.add_tasks_from(blueprint, namespace="ns")
    (periodic_task,) = app.periodic_registry.periodic_tasks.values()
    assert periodic_task.task is tick
    assert tick.name == "ns:tick"


def test_arguments_of_a_blueprint_s_are_checked_when_an_app_takes_it_in(app: adjourn.App) -> None:
    blueprint = adjourn.Blueprint()

    @blueprint.periodic(cron="* * * * *", task_kwargs={"x": object()})
    @blueprint.task(name="tick")
    def tick(timestamp: int, x: object) -> None: ...

    with pytest.raises(exceptions.InvalidOption, match="'x' cannot be stored as JSON"):
        app.add_tasks_from(blueprint, namespace="ns")
    assert "ns:tick" not in app.tasks
    assert tick.name == "tick"


def test_a_task_of_another_app_is_refused(app: adjourn.App) -> None:
    other, blueprint = adjourn.App(connector=app.connector), adjourn.Blueprint()

    @blueprint.task(name="tick")
    def tick(timestamp: int) -> None: ...

    with pytest.raises(exceptions.InvalidOption, match="is a task of another Blueprint"):
        app.periodic(cron="* * * * *")(tick)
    app.add_tasks_from(blueprint, namespace="ns")
    for stranger in (other, blueprint):
        with pytest.raises(exceptions.InvalidOption, match="is a task of another App"):
            stranger.periodic(cron="* * * * *")(tick)
    app.periodic(cron="* * * * *")(tick)


def test_one_schedule_cannot_be_declared_twice_by_way_of_apps_that_share_their_tasks(app: adjourn.App) -> None:
    task = declared(app).task
    view = app.with_connector(app.connector)
    for each in (task, view.tasks[task.name]):
        with pytest.raises(exceptions.TaskAlreadyRegistered, match="periodic_id=''"):
            view.periodic(cron="@hourly")(each)
    view.periodic(cron="@hourly", periodic_id="b")(view.tasks[task.name])
