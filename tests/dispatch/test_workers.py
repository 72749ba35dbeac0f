"""What `run_worker` leaves of an app that synchronous code has open: its event loop takes over, and gives it back."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest

import adjourn
from adjourn.connectors.base import BaseAsyncConnector
from adjourn.exceptions import AppNotOpen, ConnectorException, LoadFromPathError
from dispatch.conftest import Access, Bar, Program, Stored
from dispatch.pairs import PAIRS, Pair
from dispatch.test_pools import is_whole
from support.apps import add
from support.program import ASYNCHRONOUS
from support.sessions import Sessions
from support.waiting import BOUND, until

ON_EACH = pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.needs_opening], ids=str, indirect=True)


def work(app: adjourn.App) -> None:
    """Run the jobs that there are."""
    app.run_worker(wait=False, install_signal_handlers=False)


@ON_EACH
def test_b25_an_app_that_was_open_is_open_again_after_each_worker(
    app: adjourn.App, stored: Stored, sessions: Sessions
) -> None:
    with app.open():
        before = sessions.settle(1)
        for name in "abc":
            add(app, name)
            assert stored() == [name]
            work(app)
            assert stored() == []
            assert sessions.settle(before) == before
        add(app, "d")
    with pytest.raises(AppNotOpen):
        add(app, "never")
    assert stored() == ["d"]


def test_b25_it_is_open_again_on_the_users_own_pool(
    app: adjourn.App, pair: Pair, database: str, stored: Stored, sessions: Sessions
) -> None:
    connector: Any = app.connector
    assert pair.pool is not None
    with pair.pool(database) as pool:
        is_untouched = is_whole(pool)
        with app.open(pool):
            for name in "abc":
                add(app, name)
                work(app)
                assert connector.pool is pool
            add(app, "d")
            assert sessions.settle(1) == 1
        assert is_untouched()
        with pytest.raises(AppNotOpen):
            add(app, "never")
    assert stored() == ["d"]


@ON_EACH
def test_b25_an_app_that_was_closed_stays_closed(app: adjourn.App, stored: Stored, sessions: Sessions) -> None:
    def leave_open(name: str) -> None:
        app.open()

    with app.open():
        add(app, "ann")
    app.tasks["add"].func = leave_open
    work(app)
    assert stored() == []
    with pytest.raises(AppNotOpen):
        add(app, "never")
    assert sessions.settle(0) == 0


def test_b25_an_app_that_synchronous_code_closes_meanwhile_stays_closed(app: adjourn.App, sessions: Sessions) -> None:
    def close(name: str) -> None:
        app.close()

    app.open()
    add(app, "ann")
    app.tasks["add"].func = close
    work(app)
    with pytest.raises(AppNotOpen):
        add(app, "never")
    assert sessions.settle(0) == 0


def test_b25_a_block_of_a_jobs_own_closes_nothing(app: adjourn.App, stored: Stored) -> None:
    def block(name: str) -> None:
        with app.open():
            assert app.check_connection()

    with app.open():
        add(app, "ann")
        app.tasks["add"].func = block
        work(app)
        add(app, "bob")
    assert stored() == ["bob"]


def test_b25_it_is_open_again_after_a_worker_that_raises(
    app: adjourn.App, pair: Pair, database: str, stored: Stored
) -> None:
    connector: Any = app.connector
    app.import_paths = ("no.such.module",)
    with app.open():
        with pytest.raises(LoadFromPathError):
            work(app)
        add(app, "ann")
    assert pair.pool is not None
    with pair.pool(database) as pool, app.open(pool):
        with pytest.raises(LoadFromPathError):
            work(app)
        assert connector.pool is pool
        add(app, "bob")
    assert stored() == ["ann", "bob"]


def test_b25_it_is_open_again_after_a_worker_that_is_interrupted(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch, stored: Stored, sessions: Sessions
) -> None:
    async def interrupt(**options: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(BOUND)

    monkeypatch.setattr(app, "run_worker_async", interrupt)
    with app.open():
        with pytest.raises(KeyboardInterrupt):
            work(app)
        add(app, "ann")
        assert sessions.settle(1) == 1
    assert stored() == ["ann"]


def test_b25_it_is_open_again_after_a_takeover_that_is_interrupted(
    app: adjourn.App, bar: Bar, stored: Stored, sessions: Sessions
) -> None:
    is_down = threading.Event()

    def interrupt() -> None:
        with bar.down():
            deferring.start()
            bar.wait_for(1)
            is_down.set()
            until(lambda: app.connector.get_sync_connector() is app.connector)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    deferring = threading.Thread(target=add, args=(app, "in flight"))
    interrupting = threading.Thread(target=interrupt)
    with app.open():
        interrupting.start()
        assert is_down.wait(BOUND)
        with pytest.raises(KeyboardInterrupt):
            work(app)
        interrupting.join()
        deferring.join()
        add(app, "after")
        assert sessions.settle(1) == 1
    assert stored() == ["after", "in flight"]


def test_b25_what_a_worker_raises_counts_for_more_than_that_the_app_cannot_be_opened_again(
    app: adjourn.App, access: Access, monkeypatch: pytest.MonkeyPatch, stored: Stored
) -> None:
    async def lose_the_server(**options: object) -> None:
        access.permit(False)
        raise ZeroDivisionError

    monkeypatch.setattr(app, "run_worker_async", lose_the_server)
    with app.open():
        with pytest.raises(ZeroDivisionError):
            work(app)
        with pytest.raises(AppNotOpen):
            add(app, "never")
        access.permit(True)
    with app.open():
        add(app, "ann")
    assert stored() == ["ann"]


def test_b25_that_the_app_cannot_be_opened_again_is_said(
    app: adjourn.App, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose_the_server(**options: object) -> None:
        access.permit(False)

    monkeypatch.setattr(app, "run_worker_async", lose_the_server)
    with app.open(), pytest.raises(ConnectorException, match="not currently accepting connections"):
        work(app)


def test_b25_where_a_connector_knows_nothing_of_it_the_app_is_closed(
    app: adjourn.App, monkeypatch: pytest.MonkeyPatch, sessions: Sessions
) -> None:
    connector = app.connector
    monkeypatch.setattr(connector, "kept_open", lambda: BaseAsyncConnector.kept_open(connector))
    with app.open():
        work(app)
        assert sessions.settle(0) == 0
        with pytest.raises(AppNotOpen):
            add(app, "never")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("kind", ASYNCHRONOUS)
def test_b25_in_a_forked_child_it_is_open_again_too(program: Program, kind: str, stored: Stored) -> None:
    program(
        f"""
        app = app_on({kind!r})
        app.open()
        add(app, "before")

        def child():
            app.run_worker(wait=False)
            add(app, "child")

        in_child(child)
        add(app, "parent")
        app.close()
        """
    )
    assert stored() == ["child", "parent"]
