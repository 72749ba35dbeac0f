"""The contract of connectors, as a suite of tests for your own connector.

Each test checks one promise of `adjourn.connectors.base.BaseConnector`, in both colours, with any driver. It executes
adjourn's own statements, so the database needs only adjourn's schema.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
import unittest
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

from adjourn import exceptions, sql
from adjourn.connectors.base import BaseConnector, BaseSyncConnector
from adjourn.testing.checks import check_equal, check_raises, check_that, new_job, unique
from adjourn.testing.faces import AsyncFace, Face, SyncFace
from adjourn.types import Row, Statement

STATEMENTS = sql.statements()
CHANNEL = sql.channel(sql.DEFAULT_SCHEMA)
BOUND = 30.0
"""Seconds after which a call counts as hanging."""
LATER = datetime.datetime(2100, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


class ConnectorContract:
    """Tests for your own connector: inherit from this class, and define how to make a connector.

    pytest finds the tests in a class whose name begins with ``Test``, unittest in one that also inherits
    `unittest.TestCase`. They need no plugin.

    Each test makes connectors with `make_connector`, to a database with adjourn's schema. It leaves a few jobs there,
    in queues and locks with unique names, so that tests do not disturb each other.

    Attributes
    ----------
    executes_sql
        Whether text other than adjourn's own statements can be executed; set it to False if not.

    Examples
    --------
    ::

        class TestMyConnector(ConnectorContract):
            def make_connector(self):
                return MyConnector("postgresql://localhost/test", max_size=2)

            def make_unreachable_connector(self):
                return MyConnector("postgresql://localhost:1/test")
    """

    executes_sql = True

    def make_connector(self) -> BaseConnector:
        """Return a new connector that is not open. Give it a small pool: two connections are enough."""
        raise NotImplementedError

    def make_unreachable_connector(self) -> BaseConnector:
        """Return a connector to a server that does not exist. Without this method, that case is not tested."""
        raise unittest.SkipTest("make_unreachable_connector is not defined")

    def make_pool(self) -> AbstractContextManager[Any] | AbstractAsyncContextManager[Any]:
        """Return a context manager around an open pool of the driver, for the connector to use.

        The pool of an asynchronous connector lives on the event loop, so for one return an asynchronous context
        manager. Without this method, users' own pools are not tested.
        """
        raise unittest.SkipTest("make_pool is not defined")

    # Opening and closing

    def test_opening_and_closing_twice_does_nothing_and_it_can_be_opened_again(self) -> None:
        """Opening or closing twice is not an error, and every cycle works."""

        async def check(face: Face) -> None:
            for _ in range(3):
                await face.close()
                await face.open()
                await face.open()
                check_equal(await face.execute("check_connection"), [{"exists": True}])
                await face.close()
                await face.close()

        self._in_each_colour(check)

    def test_a_call_before_opening_and_after_closing_says_that_the_app_is_not_open(self) -> None:
        """No call opens the connector. A connector that needs no opening serves calls anyway."""

        async def check(face: Face) -> None:
            for _ in range(2):
                await check_closed(face)
                await face.open()
                await face.close()

        self._in_each_colour(check)

    def test_many_may_open_at_once(self) -> None:
        """Several calls that open at the same time make one pool, and all can use it."""

        async def check(face: Face) -> None:
            async def open_and_ask() -> list[Row]:
                await face.open()
                return await face.execute("check_connection")

            found = await asyncio.gather(*(open_and_ask() for _ in range(8)))
            check_equal(found, [[{"exists": True}]] * 8)
            await face.close()
            await check_closed(face)

        self._in_each_colour(check)

    def test_a_failed_opening_is_our_error_and_leaves_it_closed(self) -> None:
        """Without a server, opening raises `ConnectorException` each time, and the connector stays closed."""

        async def check(face: Face) -> None:
            for _ in range(2):
                await check_raises(exceptions.ConnectorException, face.open())
                await check_closed(face)
            await face.close()

        self._in_each_colour(check, self.make_unreachable_connector)

    def test_a_pool_of_the_users_is_used_and_never_closed(self) -> None:
        """The pool is used until the connector is closed, stays open after that, and can be used again."""

        async def check(face: Face) -> None:
            async with self._pool() as pool:
                for _ in range(2):
                    await face.open(pool)
                    check_equal(await face.execute("check_connection"), [{"exists": True}])
                    await face.close()
                    await check_closed(face)

        connector = self.make_connector()
        asyncio.run(_bounded(check, native_face(connector)))

    # Statements

    def test_rows_are_dictionaries_with_the_types_of_their_columns(self) -> None:
        """Integers, texts, booleans, aware datetimes and nulls come back as Python's values; jsonb cast to text as
        text."""

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job(lock="l", scheduled_at=LATER, args='{"x": [1, "ü"]}')
                (stored,) = await face.execute("defer_job", job)
                check_that(type(stored["id"]) is int, f"an id is an int, not {stored['id']!r}")
                (row,) = await self._stored(face, job["queue"])
                expected = {"id": stored["id"], "status": "todo", "abort_requested": False, "worker_id": None}
                expected |= {name: job[name] for name in ("queue", "task_name", "priority", "lock", "args")}
                expected |= {"scheduled_at": LATER, "queueing_lock": None, "errors": None, "attempts": 0}
                check_equal({name: row[name] for name in expected}, expected)
                check_that(row["scheduled_at"].utcoffset() is not None, "datetimes are aware")
                check_equal(await face.execute("get_job_status", {"job_id": 0}), [])

        self._in_each_colour(check)

    def test_parameters_reach_the_database_as_they_are(self) -> None:
        """Quotes, backslashes, percent signs, braces and nulls in values, alone and in arrays, have no special
        meaning."""
        texts = ["plain", "it's", 'a "b"', "c\\d", "100%s %(x)s", "{e,f}", "NULL", "ü€😀", " ", "g\nh"]
        queue = unique()
        parameters = {
            "queues": [queue] * len(texts),
            "task_names": texts,
            "priorities": list(range(len(texts))),
            "locks": [None, *texts[1:]],
            "queueing_locks": [None] * len(texts),
            "args": ["{}"] * len(texts),
            "scheduled_at": [LATER, *[None] * (len(texts) - 1)],
            "schedule_in": None,
            "own_transaction": False,
        }

        async def check(face: Face) -> None:
            async with face.opened():
                ids = [row["id"] for row in await face.execute("defer_jobs", parameters)]
                rows = [row for row in await self._stored(face, queue) if row["id"] in ids]
                check_equal([row["id"] for row in rows], ids)
                for column, name in [("task_name", "task_names"), ("priority", "priorities"), ("lock", "locks")]:
                    check_equal([row[column] for row in rows], parameters[name])
                check_equal([row["scheduled_at"] for row in rows], parameters["scheduled_at"])

        self._in_each_colour(check)

    def test_without_parameters_the_text_is_sent_as_it_is(self) -> None:
        """Without parameters, percent signs have no special meaning, and there may be several commands, as in a
        migration."""
        if not self.executes_sql:
            raise unittest.SkipTest("it executes adjourn's own statements only")

        async def check(face: Face) -> None:
            async with face.opened():
                percent = Statement("percent", "select '100%%s' as x, '%(y)s' as y")
                check_equal(await face.execute_statement(percent), [{"x": "100%%s", "y": "%(y)s"}])
                several = Statement("several", "do $$ begin perform 1; end $$; do $$ begin perform 2; end $$")
                check_equal(await face.execute_statement(several), [])
                doubled = Statement("doubled", "select %(x)s::text as x, '100%%' as y")
                check_equal(await face.execute_statement(doubled, {"x": "%"}), [{"x": "%", "y": "100%"}])

        self._in_each_colour(check)

    def test_errors_are_ours_and_the_next_call_works(self) -> None:
        """Errors have Postgres's state and the name of a violated constraint, and leave no connection unusable."""

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job(queueing_lock=unique())
                await face.execute("defer_job", job)
                for _ in range(5):
                    violation = await check_raises(exceptions.UniqueViolation, face.execute("defer_job", job))
                    check_equal(violation.constraint_name, "adjourn_jobs_queueing_lock")
                    check_equal(violation.sqlstate, "23505")
                    broken = {**job, "queueing_lock": None, "args": "{"}
                    error = await check_raises(exceptions.ConnectorException, face.execute("defer_job", broken))
                    check_equal(error.sqlstate, "22P02")
                check_equal(len(await self._stored(face, job["queue"])), 1)

        self._in_each_colour(check)

    def test_many_calls_at_once_wait_for_connections_instead_of_failing(self) -> None:
        """More calls than connections are served one after the other, each once."""

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job()
                rows = await asyncio.gather(*(face.execute("defer_job", job) for _ in range(40)))
                ids = sorted(row["id"] for (row,) in rows)
                check_equal([row["id"] for row in await self._stored(face, job["queue"])], ids)

        self._in_each_colour(check)

    def test_a_connection_of_another_kind_is_refused(self) -> None:
        """A ``connection`` that is not one of the driver's raises `InvalidConnection`."""

        async def check(face: Face) -> None:
            check_connection = STATEMENTS["check_connection"]
            await check_raises(
                exceptions.InvalidConnection, face.execute_statement(check_connection, {}, connection=object())
            )

        self._in_each_colour(check)

    # Sessions

    def test_a_session_commits_each_statement_unless_it_has_begun_a_transaction(self) -> None:
        """The connector need not be open. A transaction that is open when the session is closed is rolled back."""

        async def check(face: Face) -> None:
            job = new_job()
            session = await face.session()
            await session.execute("defer_job", job)
            async with face.opened():
                for end, count in [("commit", 2), ("rollback", 2), (None, 2)]:
                    check_equal(await session.execute("begin", None), [])
                    await session.execute("defer_job", job)
                    if end is not None:
                        check_equal(await session.execute(end, None), [])
                        check_equal(len(await self._stored(face, job["queue"])), count)
                await session.close()
                await session.close()
                check_equal(len(await self._stored(face, job["queue"])), 2)

        self._in_each_colour(check)

    def test_a_session_survives_an_error(self) -> None:
        """An error of a statement does not break the connection."""

        async def check(face: Face) -> None:
            session = await face.session()
            broken = new_job(args="{")
            await check_raises(exceptions.ConnectorException, session.execute("defer_job", broken))
            check_equal(await session.execute("check_connection"), [{"exists": True}])
            await session.close()

        self._in_each_colour(check)

    def test_a_session_hears_notifications(self) -> None:
        """A notification that comes during a wait ends it; one that comes at another time is kept for the next wait."""

        async def check(face: Face) -> None:
            speaker, listener = await face.session(), await face.session()
            await listener.listen(CHANNEL)
            while await listener.wait_for_notifications(0):
                pass
            notifying = new_job(own_transaction=True)
            began = time.monotonic()
            waiting = asyncio.create_task(listener.wait_for_notifications(BOUND))
            await asyncio.sleep(0.1)
            await speaker.execute("defer_job", notifying)
            check_that("" in await waiting, "a notification ends the wait")
            check_that(time.monotonic() - began < BOUND / 2, "it ends the wait at once")
            await speaker.execute("defer_job", notifying)
            await listener.execute("check_connection")
            check_that("" in await listener.wait_for_notifications(BOUND), "a notification during a statement is kept")
            began = time.monotonic()
            await listener.wait_for_notifications(0.2)
            check_that(time.monotonic() - began < BOUND / 2, "a wait without notifications ends in time")
            check_equal(await listener.execute("check_connection"), [{"exists": True}])
            await speaker.close()
            await listener.close()

        self._in_each_colour(check)

    # Colours

    def test_a_synchronous_connector_refuses_what_is_awaited(self) -> None:
        """A synchronous connector's errors say what to do instead, whether it is open or not."""
        connector = self.make_connector()
        if not isinstance(connector, BaseSyncConnector):
            raise unittest.SkipTest("it is an asynchronous connector")
        check_that(connector.get_sync_connector() is connector, "it serves synchronous calls itself")

        async def check() -> None:
            refused = exceptions.SyncConnectorConfigurationError
            await check_raises(refused, connector.open_async())
            await check_raises(refused, connector.execute_async(STATEMENTS["check_connection"], {}))
            await check_raises(refused, connector.session_async())
            await check_raises(refused, connector.close_async())

        asyncio.run(check())

    def test_an_asynchronous_connector_that_is_open_serves_synchronous_calls_from_threads(self) -> None:
        """On the thread of the event loop itself, a blocking call succeeds or is refused, and never hangs."""
        connector = self.make_connector()
        if isinstance(connector, BaseSyncConnector):
            raise unittest.SkipTest("it is a synchronous connector")
        check_that(connector.get_async_connector() is connector, "it serves asynchronous calls itself")

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job()
                serving = connector.get_sync_connector()
                calls = [asyncio.to_thread(serving.execute, STATEMENTS["defer_job"], job) for _ in range(10)]
                await asyncio.gather(*calls)
                with contextlib.suppress(RuntimeError):
                    serving.execute(STATEMENTS["check_connection"], {})
                check_equal(len(await self._stored(face, job["queue"])), 10)

        asyncio.run(_bounded(check, AsyncFace(connector)))

    def test_a_call_that_is_cancelled_leaves_the_connector_usable(self) -> None:
        """Cancelling an awaited call takes no connection away from the others."""
        connector = self.make_connector()
        if isinstance(connector, BaseSyncConnector):
            raise unittest.SkipTest("it is a synchronous connector")

        async def check(face: Face) -> None:
            async with face.opened():
                for rounds in range(10):
                    call = asyncio.ensure_future(face.execute("check_connection"))
                    for _ in range(rounds):
                        await asyncio.sleep(0)
                    call.cancel()
                    await asyncio.wait([call])
                found = await asyncio.gather(*(face.execute("check_connection") for _ in range(10)))
                check_equal(found, [[{"exists": True}]] * 10)

        asyncio.run(_bounded(check, AsyncFace(connector)))

    def test_the_connections_of_an_event_loop_that_has_ended_are_given_back(self) -> None:
        """If a program has not closed the connector before its loop ended, the next opening ends the old sessions."""
        connector = self.make_connector()
        if isinstance(connector, BaseSyncConnector):
            raise unittest.SkipTest("it is a synchronous connector")
        if not self.executes_sql:
            raise unittest.SkipTest("it executes adjourn's own statements only")
        mine = Statement("mine", "SELECT pg_backend_pid() AS pid")
        is_there = Statement("is there", "SELECT count(*) AS count FROM pg_stat_activity WHERE pid = %(pid)s")

        async def abandon() -> Row:
            await connector.open_async()
            (session,) = await connector.execute_async(mine, {})
            return session

        async def check(face: Face) -> None:
            async with face.opened():
                deadline = time.monotonic() + BOUND / 3
                while await face.execute_statement(is_there, session) != [{"count": 0}]:
                    check_that(time.monotonic() < deadline, "the sessions of a loop that has ended end too")
                    await asyncio.sleep(0.02)

        session = asyncio.run(abandon())
        asyncio.run(_bounded(check, SyncFace(connector)))

    # Helpers

    def _in_each_colour(
        self, check: Callable[[Face], Awaitable[None]], make: Callable[[], BaseConnector] | None = None
    ) -> None:
        """Check a new connector through its blocking methods and, if it has any, through its awaited ones."""
        make = make or self.make_connector
        connector = make()
        asyncio.run(_bounded(check, SyncFace(connector)))
        if not isinstance(connector, BaseSyncConnector):
            asyncio.run(_bounded(check, AsyncFace(make())))

    async def _stored(self, face: Face, queue: str) -> list[Row]:
        """Return the jobs of a queue."""
        filters = dict.fromkeys(("id", "task", "status", "lock", "queueing_lock", "worker_id", "limit"))
        return await face.execute("list_jobs", {**filters, "queue": queue, "after_id": 0})

    @contextlib.asynccontextmanager
    async def _pool(self) -> AsyncIterator[Any]:
        made = self.make_pool()
        if isinstance(made, AbstractAsyncContextManager):
            async with made as pool:
                yield pool
        else:
            with made as pool:
                yield pool


def native_face(connector: BaseConnector) -> Face:
    """Return the face whose colour is that of the connector's own pool."""
    return SyncFace(connector) if isinstance(connector, BaseSyncConnector) else AsyncFace(connector)


async def check_closed(face: Face) -> None:
    """Check that a closed connector refuses a call or, if it needs no opening, serves it."""
    if face.connector.needs_opening:
        await check_raises(exceptions.AppNotOpen, face.execute("check_connection"))
    else:
        check_equal(await face.execute("check_connection"), [{"exists": True}])


async def _bounded(check: Callable[[Face], Awaitable[None]], face: Face) -> None:
    try:
        async with asyncio.timeout(3 * BOUND):
            await check(face)
    except AssertionError as error:
        raise AssertionError(f"{face}: {error}") from error
