"""Blocking calls of several threads share a commit, unless a thread has a connection or a queueing lock of its own."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import adjourn
from adjourn.connectors.sqlalchemy import SQLAlchemyPsycopgConnector
from adjourn.exceptions import AlreadyEnqueued, InvalidOption
from dispatch.pairs import PAIRS, SYNCHRONOUS
from support.addresses import address
from support.sessions import BLOCKED
from support.waiting import until

CONNECTORS: dict[str, Callable[[str], Any]] = {
    "psycopg": adjourn.PsycopgConnector,
    "psycopg, synchronous": adjourn.SyncPsycopgConnector,
    "psycopg2": adjourn.Psycopg2Connector,
    "sqlalchemy": lambda dsn: SQLAlchemyPsycopgConnector(dsn=address(dsn, "psycopg")),
}


@contextlib.contextmanager
def held_up(database: str, waiting: Callable[[], Any]) -> Iterator[None]:
    """Let no job be stored until all calls of the block wait; for the first one, and then for ``waiting``."""
    with psycopg.connect(database) as connection:
        connection.execute("LOCK adjourn.adjourn_jobs IN SHARE MODE")
        yield
        until(waiting)


def is_held_up(observer: psycopg.Connection, number: int) -> Callable[[], bool]:
    return lambda: len(observer.execute(BLOCKED).fetchall()) == number


def commits(observer: psycopg.Connection) -> list[int]:
    """How many jobs each commit has stored."""
    rows = observer.execute("SELECT count(*) FROM adjourn.adjourn_jobs GROUP BY xmin::text ORDER BY min(id)").fetchall()
    return [count for (count,) in rows]


@pytest.mark.parametrize("kind", CONNECTORS)
def test_what_threads_defer_during_a_commit_is_stored_by_the_next(
    kind: str, database: str, observer: psycopg.Connection
) -> None:
    app = adjourn.App(connector=CONNECTORS[kind](database))
    group = app.job_manager._threads
    work = app.configure_task("work")
    with app.open(), concurrent.futures.ThreadPoolExecutor() as pool:
        with held_up(database, lambda: len(group._waiting) == 3):
            calls = [pool.submit(work.defer, number=0)]
            until(is_held_up(observer, 1))
            calls += [pool.submit(work.defer, number=number, text='a "b" \\ é 🙂') for number in range(1, 4)]
        ids = [call.result(30) for call in calls]
        stored = {job.id: job.task_kwargs["number"] for job in app.job_manager.list_jobs()}
        assert stored == {job_id: number for number, job_id in enumerate(ids)}
        assert commits(observer) == [1, 3]


def test_each_thread_gets_the_refusal_of_its_own_job(database: str, observer: psycopg.Connection) -> None:
    """What an encoder of the user's has written, the server refuses at the earliest."""
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database, json_dumps=lambda kwargs: kwargs["text"]))
    group = app.job_manager._threads
    work = app.configure_task("work")
    with app.open(), concurrent.futures.ThreadPoolExecutor() as pool:
        with held_up(database, lambda: len(group._waiting) == 3):
            calls = [pool.submit(work.defer, text='{"n": 0}')]
            until(is_held_up(observer, 1))
            calls += [pool.submit(work.defer, text=text) for text in ('{"n": 1}', '{"n": 1}, {"n": 2}', '{"n": 3}')]
            with pytest.raises(InvalidOption, match="json_dumps made"):
                work.defer(text=object())  # refused before it waits for anybody
        concurrent.futures.wait(calls, 30)
        assert [call.exception() is None for call in calls] == [True, True, False, True]
        assert [job.task_kwargs["n"] for job in app.job_manager.list_jobs()] in ([0, 1, 3], [0, 3, 1])


def test_a_connection_or_a_queueing_lock_of_ones_own_is_outside(database: str, observer: psycopg.Connection) -> None:
    app = adjourn.App(connector=adjourn.SyncPsycopgConnector(database))
    with app.open(), psycopg.connect(database) as own, concurrent.futures.ThreadPoolExecutor() as pool:
        with held_up(database, is_held_up(observer, 4)):
            calls = [pool.submit(app.configure_task("work").defer)]
            calls += [pool.submit(app.configure_task("work", queueing_lock=lock).defer) for lock in "aa"]
            calls += [pool.submit(app.configure_task("work", connection=own).defer)]
        concurrent.futures.wait(calls, 30)
        errors = [call.exception() for call in calls]
        assert [type(error) for error in errors if error] == [AlreadyEnqueued]
        own.rollback()
    assert commits(observer) == [1, 1]


async def test_while_an_event_loop_serves_the_threads_each_call_is_its_own(database: str) -> None:
    """The loop would refuse a call of its own thread, and with it all others of a group."""
    app = adjourn.App(connector=adjourn.PsycopgConnector(database))
    twin = app.connector.get_sync_connector()
    found = [(app.connector.shares_commits, twin.shares_commits)]
    async with app.open_async():
        found.append((app.connector.shares_commits, twin.shares_commits))
    with app.open():
        found.append((app.connector.shares_commits, twin.shares_commits))
    assert found == [(True, True), (False, False), (True, True)]


def test_pools_are_shared_by_threads() -> None:
    made = [pair.connector("", 1, 1) for pair in PAIRS] + [make("", 1, 1) for make in SYNCHRONOUS.values()]
    assert all(connector.shares_commits for connector in made)
