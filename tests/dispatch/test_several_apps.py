"""One collection of tasks on several connectors: `App.with_connector`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn import builtin_tasks
from adjourn.exceptions import AppNotOpen
from dispatch.conftest import Stored
from dispatch.pairs import DRIVERS, SYNCHRONOUS, Pair
from support.apps import add, add_async, make_app
from support.sessions import Sessions
from support.waiting import BOUND

BACKEND = "SELECT pg_backend_pid() AS pid"
SYNCHRONOUS_BESIDE = dict(zip([pair.name for pair in DRIVERS], SYNCHRONOUS, strict=False))
"""Each driver's own synchronous connector; of SQLAlchemy's two each is tried once."""

DIRECTIONS = ["to synchronous", "to asynchronous"]


@pytest.fixture(params=DIRECTIONS)
def apps(
    request: pytest.FixtureRequest, pair: Pair, database: str, sessions: Sessions
) -> Iterator[tuple[adjourn.App, adjourn.App]]:
    """An app, and another one that was made of it, each with a connection of its own; one of them is synchronous."""
    asynchronous = pair.connector(database, 1, 10)
    synchronous = SYNCHRONOUS[SYNCHRONOUS_BESIDE[pair.name]](database, 1, 10)
    first, second = (asynchronous, synchronous) if request.param == "to synchronous" else (synchronous, asynchronous)
    app = make_app(first)
    yield app, app.with_connector(second)
    assert sessions.settle(0) == 0


@pytest.fixture
def storers(observer: psycopg.Connection) -> Iterator[Callable[[], list[int]]]:
    """Read which session stored each job since it was read last."""
    observer.execute(
        "CREATE TABLE storers (pid int);"
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO storers VALUES (pg_backend_pid()); RETURN NEW; END $$;"
        "CREATE TRIGGER note AFTER INSERT ON adjourn.adjourn_jobs FOR EACH ROW EXECUTE FUNCTION note()"
    )

    def read() -> list[int]:
        return [pid for (pid,) in observer.execute("DELETE FROM storers RETURNING pid").fetchall()]

    yield read
    observer.execute("DROP TRIGGER note ON adjourn.adjourn_jobs; DROP FUNCTION note(); DROP TABLE storers")


def backend(app: adjourn.App) -> int:
    """Say which session serves an app's synchronous calls."""
    return int(app.connector.get_sync_connector().execute_query_one(BACKEND)["pid"])


def test_s8_another_app_has_the_tasks_known_so_far_on_a_connector_of_its_own(
    apps: tuple[adjourn.App, adjourn.App],
) -> None:
    app, other = apps
    assert isinstance(other, adjourn.App)
    assert other is not app
    assert other.connector is not app.connector
    assert type(other.connector) is not type(app.connector)
    assert set(other.tasks) == set(app.tasks) == {"add", *builtin_tasks.builtin.tasks}


def test_s8_another_app_is_of_the_same_class_and_has_the_same_defaults(pair: Pair, database: str) -> None:
    class OwnApp(adjourn.App):
        def __init__(self, label: str, **options: Any) -> None:
            super().__init__(**options)
            self.label = label

    for first, second in (
        (pair.connector, SYNCHRONOUS[SYNCHRONOUS_BESIDE[pair.name]]),
        (SYNCHRONOUS[SYNCHRONOUS_BESIDE[pair.name]], pair.connector),
    ):
        app = OwnApp(
            "mine",
            connector=first(database, 2, 10),
            import_paths=["json"],
            worker_defaults={"concurrency": 7, "queues": ["q"]},
            periodic_defaults={"max_delay": 5},
            schema="other",
        )
        connector = second(database, 2, 10)
        other = app.with_connector(connector).with_connector(connector)
        assert type(other) is OwnApp
        assert other.label == "mine"
        assert other.connector is connector
        assert other.import_paths == ("json",)
        assert other.worker_defaults == app.worker_defaults
        assert other.worker_defaults["concurrency"] == 7
        assert other.periodic_defaults == {"max_delay": 5}
        assert other.job_manager.schema == other.schema_manager.schema == "other"


def test_s9_tasks_that_are_registered_later_are_known_to_both_and_deferred_through_either(
    apps: tuple[adjourn.App, adjourn.App], observer: psycopg.Connection
) -> None:
    app, other = apps
    blueprint, second_blueprint = adjourn.Blueprint(), adjourn.Blueprint()

    @app.task(name="first", queue="of the first")
    def first() -> None: ...

    @other.task(name="second")
    def second() -> None: ...

    @blueprint.task(name="third", queue="of a blueprint")
    def third() -> None: ...

    @second_blueprint.task(name="fourth")
    def fourth() -> None: ...

    other.add_tasks_from(blueprint, namespace="space")
    app.add_tasks_from(second_blueprint, namespace="space")
    app.add_task_alias(first, "alias")
    declared = {"add", "first", "second", "space:third", "space:fourth", "alias"}
    assert declared <= set(app.tasks)
    assert set(app.tasks) == set(other.tasks)
    names = ["first", "second", "space:third", "space:fourth"]
    for each in apps:
        with each.open():
            for name in names:
                each.tasks[name].defer()
                each.configure_task(name).defer()
            assert {job.queue for job in each.job_manager.list_jobs(task="first")} == {"of the first"}
            assert {job.queue for job in each.job_manager.list_jobs(task="space:third")} == {"of a blueprint"}
        rows = observer.execute("DELETE FROM adjourn.adjourn_jobs RETURNING task_name").fetchall()
        assert sorted(name for (name,) in rows) == sorted(names * 2)


def test_s10_each_app_defers_through_its_own_connector_also_when_it_alone_is_open(
    apps: tuple[adjourn.App, adjourn.App], stored: Stored, storers: Callable[[], list[int]]
) -> None:
    app, other = apps
    declared = app.tasks["add"]
    blueprint = adjourn.Blueprint()

    @blueprint.task(name="late")
    def late(name: str) -> None: ...

    app.add_tasks_from(blueprint, namespace="later")
    with other.open():
        other.tasks["add"].defer(name="a")
        other.configure_task("add").defer(name="b")
        other.configure_task("unknown").defer(name="c")
        other.tasks["later:late"].defer(name="d")
        assert storers() == [backend(other)] * 4
        for deferring in (declared, app.tasks["later:late"], app.configure_task("add"), app.configure_task("unknown")):
            with pytest.raises(AppNotOpen):
                deferring.defer(name="never")
    with app.open():
        declared.defer(name="e")
        app.tasks["add"].defer(name="f")
        app.tasks["later:late"].defer(name="g")
        assert storers() == [backend(app)] * 3
        for deferring in (other.tasks["add"], other.tasks["later:late"], other.configure_task("unknown")):
            with pytest.raises(AppNotOpen):
                deferring.defer(name="never")
        with other.open():
            assert backend(other) != backend(app)
            other.tasks["add"].defer(name="h")
            assert storers() == [backend(other)]
            declared.defer(name="i")
            assert storers() == [backend(app)]
    assert stored() == list("abcdefghi")


async def test_s10_beside_an_app_that_is_open_on_a_loop_the_other_defers_through_its_own_connector(
    apps: tuple[adjourn.App, adjourn.App], stored: Stored, storers: Callable[[], list[int]]
) -> None:
    on_loop, other = sorted(apps, key=lambda app: app.connector.get_sync_connector() is app.connector)
    async with on_loop.open_async():
        pid = (await on_loop.connector.execute_query_one_async(BACKEND))["pid"]
        with pytest.raises(AppNotOpen):
            other.tasks["add"].defer(name="never")
        with other.open():
            await add_async(on_loop, "a")
            await asyncio.to_thread(add, on_loop, "b")
            assert storers() == [pid] * 2
            # Its own connector blocks, so it does on this loop's thread too.
            add(other, "c")
            assert storers() == [backend(other)]
            assert pid != backend(other)
    assert stored() == list("abc")


async def test_s10_a_job_deferred_through_one_app_is_run_by_a_worker_of_the_other(
    apps: tuple[adjourn.App, adjourn.App], stored: Stored
) -> None:
    ran: list[int] = []

    @apps[0].task(name="note")
    def note(number: int) -> None:
        ran.append(number)

    with_worker, deferring = sorted(apps, key=lambda app: app.connector.get_sync_connector() is app.connector)
    with deferring.open():
        deferring.tasks["note"].defer(number=7)
    async with with_worker.open_async(), asyncio.timeout(BOUND):
        await with_worker.run_worker_async(wait=False, install_signal_handlers=False)
    assert ran == [7]
    assert stored() == []


async def test_b21_apps_with_connectors_of_their_own_are_open_and_closed_independently(
    app: adjourn.App, pair: Pair, database: str, stored: Stored, sessions: Sessions
) -> None:
    other = app.with_connector(pair.connector(database, 2, 10))
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


def test_b21_an_app_and_the_one_made_of_it_are_open_and_closed_independently(
    apps: tuple[adjourn.App, adjourn.App], stored: Stored, sessions: Sessions
) -> None:
    for opened, closed in (apps, apps[::-1]):
        opened.open()
        closed.close()
        add(opened, "a")
        with pytest.raises(AppNotOpen):
            add(closed, "never")
        closed.open()
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(lambda index: add(apps[index % 2], "b"), range(8)))
        opened.close()
        with pytest.raises(AppNotOpen):
            add(opened, "never")
        add(closed, "c")
        closed.close()
        assert sessions.settle(0) == 0
    assert stored() == ["a"] * 2 + ["b"] * 16 + ["c"] * 2
