"""Giving an app another connector for a while."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import adjourn
from adjourn import exceptions
from adjourn.testing import InMemoryConnector, SyncInMemoryConnector


@pytest.fixture
def app(connector: InMemoryConnector) -> adjourn.App:
    app = adjourn.App(connector=connector, schema="elsewhere")

    @app.task(name="any")
    def task() -> None: ...

    return app


def names(connector: InMemoryConnector) -> list[str]:
    return [job["task_name"] for job in connector.jobs.values()]


def test_the_same_app_uses_another_connector_until_the_end_of_the_block(
    app: adjourn.App, connector: InMemoryConnector
) -> None:
    manager, other = app.job_manager, InMemoryConnector()
    with app.replace_connector(other) as replaced:
        assert replaced is app
        assert app.connector is other
        assert app.job_manager.schema == "elsewhere"
        with app.open():
            app.tasks["any"].defer()
            app.configure_task("unknown").defer()
            assert len(app.job_manager.list_jobs()) == 2
    assert (app.connector, app.job_manager) == (connector, manager)
    with app.open():
        app.tasks["any"].defer()
    assert (names(other), names(connector)) == (["any", "unknown"], ["any"])


def test_tasks_of_blueprints_and_of_other_threads_use_it_too(app: adjourn.App, connector: InMemoryConnector) -> None:
    blueprint = adjourn.Blueprint()

    @blueprint.task(name="job")
    def job() -> None: ...

    app.add_tasks_from(blueprint, namespace="ns")
    other = InMemoryConnector()
    with app.replace_connector(other), app.open():
        thread = threading.Thread(target=job.defer)
        thread.start()
        thread.join()
    assert (names(other), names(connector)) == (["ns:job"], [])


async def test_it_works_in_asynchronous_code_and_with_a_worker(app: adjourn.App) -> None:
    done: list[int] = []

    @app.task(name="do")
    async def do(n: int) -> None:
        done.append(n)

    with app.replace_connector(InMemoryConnector()):
        async with app.open_async():
            await do.defer_async(n=1)
            await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert done == [1]


def test_the_former_connector_is_back_after_an_exception_and_stays_open(
    app: adjourn.App, connector: InMemoryConnector
) -> None:
    def fail() -> None:
        with app.replace_connector(InMemoryConnector()):
            app.tasks["any"].defer()
            raise ZeroDivisionError

    with app.open():
        with pytest.raises(ZeroDivisionError):
            fail()
        app.tasks["any"].defer()
    assert names(connector) == ["any"]


def test_a_replacement_within_a_replacement_is_refused(app: adjourn.App) -> None:
    other = InMemoryConnector()
    for _ in range(2):
        with app.replace_connector(other):
            with (
                pytest.raises(exceptions.WrongCaller, match=r"replaced already.*with_connector"),
                app.replace_connector(InMemoryConnector()),
            ):
                pytest.fail("it was not refused")
            assert app.connector is other


def test_a_replacement_in_another_thread_is_refused(app: adjourn.App) -> None:
    entered, leave = threading.Event(), threading.Event()

    def replace() -> None:
        with app.replace_connector(InMemoryConnector()):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=replace)
    thread.start()
    assert entered.wait(10)
    with pytest.raises(exceptions.WrongCaller), app.replace_connector(InMemoryConnector()):
        pytest.fail("it was not refused")
    leave.set()
    thread.join()
    with app.replace_connector(InMemoryConnector()):
        pass


async def test_a_replacement_in_another_task_is_refused(app: adjourn.App, connector: InMemoryConnector) -> None:
    async def replace() -> str:
        try:
            with app.replace_connector(InMemoryConnector()):
                await asyncio.sleep(0.01)
        except exceptions.WrongCaller:
            return "refused"
        return "replaced"

    assert sorted(await asyncio.gather(replace(), replace())) == ["refused", "replaced"]
    assert app.connector is connector


def test_views_are_not_affected_and_have_replacements_of_their_own(app: adjourn.App) -> None:
    of_view, of_app = InMemoryConnector(), InMemoryConnector()
    view = app.with_connector(of_view)
    with app.replace_connector(of_app):
        later = app.with_connector(SyncInMemoryConnector(store=of_view.store))
        assert (view.connector, app.connector) == (of_view, of_app)
        with view.open(), later.open():
            view.tasks["any"].defer()
            later.tasks["any"].defer()
        with view.replace_connector(InMemoryConnector()), later.replace_connector(InMemoryConnector()):
            assert app.connector is of_app
    assert (names(of_view), names(of_app)) == (["any", "any"], [])


@pytest.mark.parametrize("value", [None, "postgresql://", InMemoryConnector])
def test_what_is_not_a_connector_is_refused(app: adjourn.App, value: Any) -> None:
    with pytest.raises(exceptions.InvalidOption, match="pass a connector"), app.replace_connector(value):
        pytest.fail("it was not refused")
    with pytest.raises(exceptions.InvalidOption, match="pass a connector"):
        app.with_connector(value)
    with app.replace_connector(InMemoryConnector()):
        pass
