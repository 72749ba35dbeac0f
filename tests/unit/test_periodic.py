"""Declaring periodic tasks, and which of their ticks are due."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
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


def test_of_what_was_missed_the_latest_tick_is_due_unless_it_is_too_old(app: adjourn.App) -> None:
    periodic_task = declared(app)
    for since in (LONG_AGO, None):
        assert clock(periodic_task.overdue(since, NOW, 600)) == ["12:00"]
        assert clock(periodic_task.overdue(since, NOW, 20)) == []
    assert clock(periodic_task.overdue(NOW, NOW, 600)) == []


def test_all_missed_ticks_are_due_where_asked_for_but_none_was_missed_before_there_was_a_schedule(
    app: adjourn.App,
) -> None:
    periodic_task = declared(app, missed="all", max_delay=160)
    assert clock(periodic_task.overdue(LONG_AGO, NOW, 600)) == ["11:58", "11:59", "12:00"]
    assert clock(periodic_task.overdue(NOW - datetime.timedelta(seconds=60), NOW, 600)) == ["12:00"]
    assert clock(periodic_task.overdue(None, NOW, 600)) == ["12:00"]


def test_missed_ticks_are_skipped_where_asked_for(app: adjourn.App) -> None:
    periodic_task = declared(app, missed="skip", cron="55 * * * *")
    assert clock(periodic_task.overdue(LONG_AGO, NOW, 600)) == []
    on_time = NOW.replace(hour=11, minute=55)
    assert clock(periodic_task.overdue(LONG_AGO, on_time, 600)) == ["11:55"]
    often = declared(adjourn.App(connector=InMemoryConnector()), missed="skip", cron="* * * * * */10")
    assert len(list(often.overdue(LONG_AGO, NOW, 600))) == 1


@pytest.mark.parametrize("missed", ["skip", "latest", "all"])
def test_every_tick_since_the_last_look_is_due(app: adjourn.App, missed: str) -> None:
    periodic_task = declared(app, missed=missed, max_delay=160)
    assert clock(periodic_task.due(NOW - datetime.timedelta(seconds=100), NOW, 600)) == ["11:59", "12:00"]
    assert clock(periodic_task.due(LONG_AGO, NOW, 600)) == ["11:58", "11:59", "12:00"]


def test_the_latest_of_many_ticks_is_found_without_looking_at_all_of_them(app: adjourn.App) -> None:
    periodic_task = declared(app, cron="* * * * * *", max_delay=10 * 365 * 24 * 3600)
    assert clock(periodic_task.overdue(None, NOW, 600)) == [f"{NOW:%H:%M}"]


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
