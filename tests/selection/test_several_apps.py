"""One collection of tasks on several connectors: `App.with_connector`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

import adjourn
from adjourn import builtin_tasks
from adjourn.exceptions import AppNotOpen
from conftest import Sessions
from selection.conftest import Stored
from selection.pairs import add, add_async


@pytest.fixture
def other(app: adjourn.App, database: str) -> Iterator[adjourn.App]:
    """The same tasks on a synchronous connector, whose sessions call themselves `other`."""
    connector = adjourn.SyncPsycopgConnector(database, min_size=1, kwargs={"application_name": "other"})
    other = app.with_connector(connector)
    yield other
    other.close()


@pytest.fixture
def storers(observer: psycopg.Connection) -> Iterator[list[str]]:
    """Which application stored each job; read it after the jobs have been stored."""
    observer.execute(
        "CREATE TABLE storers (name text);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO storers VALUES (current_setting('application_name')); RETURN NEW; END $$;"
        "CREATE TRIGGER note AFTER INSERT ON adjourn.adjourn_jobs FOR EACH ROW EXECUTE FUNCTION note()"
    )

    class Storers(list[str]):
        def __eq__(self, other: object) -> bool:
            rows = observer.execute("SELECT name FROM storers").fetchall()
            observer.execute("TRUNCATE storers")
            return [name for (name,) in rows] == other

    yield Storers()
    observer.execute("DROP TRIGGER note ON adjourn.adjourn_jobs; DROP FUNCTION note(); DROP TABLE storers")


def test_s8_another_app_has_the_tasks_known_so_far_on_a_connector_of_its_own(
    app: adjourn.App, other: adjourn.App
) -> None:
    assert isinstance(other, adjourn.App)
    assert other is not app
    assert other.connector is not app.connector
    assert isinstance(other.connector, adjourn.SyncPsycopgConnector)
    assert set(other.tasks) == set(app.tasks) == {"add", *builtin_tasks.builtin.tasks}


def test_s9_tasks_that_are_registered_later_are_known_to_both(app: adjourn.App, other: adjourn.App) -> None:
    blueprint = adjourn.Blueprint()

    @app.task(name="first")
    def first() -> None: ...

    @other.task(name="second")
    def second() -> None: ...

    @blueprint.task(name="third")
    def third() -> None: ...

    other.add_tasks_from(blueprint, namespace="space")
    app.add_task_alias(first, "alias")
    declared = {"add", "first", "second", "space:third", "alias"}
    assert set(app.tasks) == set(other.tasks) == {*declared, *builtin_tasks.builtin.tasks}


def test_s10_each_app_defers_through_its_own_connector_also_when_it_alone_is_open(
    app: adjourn.App, other: adjourn.App, stored: Stored, storers: list[str]
) -> None:
    declared = app.tasks["add"]
    with other.open():
        other.tasks["add"].defer(name="a")
        other.configure_task("add").defer(name="b")
        other.configure_task("unknown").defer(name="c")
        assert storers == ["other"] * 3
        with pytest.raises(AppNotOpen):
            declared.defer(name="never")
        with pytest.raises(AppNotOpen):
            app.configure_task("add").defer(name="never")
    with app.open():
        declared.defer(name="d")
        app.tasks["add"].defer(name="e")
        assert storers == [""] * 2
        with pytest.raises(AppNotOpen):
            other.tasks["add"].defer(name="never")
    assert stored() == list("abcde")


async def test_s10_a_job_deferred_through_the_second_app_is_run_by_a_worker_of_the_first(
    opened: adjourn.App, database: str, stored: Stored
) -> None:
    ran: list[int] = []

    @opened.task(name="note")
    def note(number: int) -> None:
        ran.append(number)

    other = opened.with_connector(adjourn.SyncPsycopgConnector(database, min_size=1))
    with other.open():
        other.tasks["note"].defer(number=7)
    async with asyncio.timeout(30):
        await opened.run_worker_async(wait=False, install_signal_handlers=False)
    assert ran == [7]
    assert stored() == []


async def test_b21_apps_with_connectors_of_their_own_are_open_and_closed_independently(
    app: adjourn.App, database: str, stored: Stored, sessions: Sessions
) -> None:
    other = app.with_connector(adjourn.PsycopgConnector(database, min_size=1))
    await app.open_async()
    with pytest.raises(AppNotOpen):
        await add_async(other, "never")
    other.open()
    add(other, "blocking, beside a loop that another app is open on")
    await add_async(app, "awaited")
    other.close()
    await add_async(app, "once more")
    await other.open_async()
    await app.close_async()
    with pytest.raises(AppNotOpen):
        await add_async(app, "never")
    await add_async(other, "the other alone")
    assert sessions.settle(1) == 1
    await other.close_async()
    assert len(stored()) == 4
