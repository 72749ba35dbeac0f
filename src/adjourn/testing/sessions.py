"""Checks of the contract: sessions, which are connections for one caller alone."""

from __future__ import annotations

import asyncio
import time
import unittest

from adjourn import exceptions
from adjourn.testing.checks import check_equal, check_raises, check_that, new_job
from adjourn.testing.faces import Face
from adjourn.testing.suite import CHANNEL, OWN_SESSION, Suite
from adjourn.testing.threads import in_thread
from adjourn.types import Statement

_TERMINATE = Statement("terminate", "SELECT pg_terminate_backend(%(pid)s)")


class SessionTests(Suite):
    """Sessions."""

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
            if not listener.can_listen:
                raise unittest.SkipTest("its sessions cannot listen")
            await listener.listen(CHANNEL)
            while await listener.wait_for_notifications(0):
                pass
            notifying = new_job(own_transaction=True)
            began = time.monotonic()
            waiting = asyncio.create_task(listener.wait_for_notifications(self._bound))
            await asyncio.sleep(0.1)
            await speaker.execute("defer_job", notifying)
            check_that("" in await waiting, "a notification ends the wait")
            check_that(time.monotonic() - began < self._bound / 2, "it ends the wait at once")
            await speaker.execute("defer_job", notifying)
            await listener.execute("check_connection")
            check_that(
                "" in await listener.wait_for_notifications(self._bound), "a notification during a statement is kept"
            )
            began = time.monotonic()
            await listener.wait_for_notifications(0.2)
            check_that(time.monotonic() - began < self._bound / 2, "a wait without notifications ends in time")
            check_equal(await listener.execute("check_connection"), [{"exists": True}])
            await speaker.close()
            await listener.close()

        self._in_each_colour(check)

    def test_a_session_can_be_woken(self) -> None:
        """`wake` ends the wait that is under way, or else the next one, if ``is_wakeable`` says so."""

        async def check(face: Face) -> None:
            session = await face.session()
            if not session.can_listen:
                raise unittest.SkipTest("its sessions cannot listen, so nothing waits for notifications")
            if not session.is_wakeable:
                raise unittest.SkipTest("its sessions are not wakeable")
            await session.listen(CHANNEL)
            for is_early in (False, True):
                while await session.wait_for_notifications(0):
                    pass
                began = time.monotonic()
                if is_early:
                    await in_thread(session.wake)
                waiting = asyncio.create_task(session.wait_for_notifications(self._bound))
                if not is_early:
                    await asyncio.sleep(0.1)
                    await in_thread(session.wake)
                await waiting
                check_that(time.monotonic() - began < self._bound / 2, "`wake` ends a wait at once")
            check_equal(await session.execute("check_connection"), [{"exists": True}])
            await session.close()

        self._in_each_colour(check)

    def test_a_session_can_be_given_up(self) -> None:
        """`abandon`, from any thread, ends the wait that is under way; then all but closing raises."""

        async def check(face: Face) -> None:
            waiting, idle = await face.session(), await face.session()
            under_way = None
            began = time.monotonic()
            if waiting.can_listen:
                await waiting.listen(CHANNEL)
                while await waiting.wait_for_notifications(0):
                    pass
                began = time.monotonic()
                under_way = asyncio.create_task(waiting.wait_for_notifications(self._bound))
                await asyncio.sleep(0.1)
            for session in (waiting, idle):
                await in_thread(session.abandon)
                await in_thread(session.abandon)
            if under_way is not None:
                await check_raises(exceptions.ConnectorException, under_way)
                await check_raises(exceptions.ConnectorException, waiting.wait_for_notifications(self._bound))
            await check_raises(exceptions.ConnectorException, idle.execute("check_connection"))
            for session in (waiting, idle):
                await session.close()
                await in_thread(session.abandon)
            check_that(time.monotonic() - began < self._bound / 2, "`abandon` ends a wait at once")

        self._in_each_colour(check)

    def test_a_session_that_the_server_has_ended_raises(self) -> None:
        """A wait that is under way, and the next statement, raise `ConnectorException`. It can be closed after that."""
        self._check_executes_sql()

        async def check(face: Face) -> None:
            killer, waiting, executing = [await face.session() for _ in range(3)]
            (waiter,) = await waiting.execute_statement(OWN_SESSION, {})
            (executor,) = await executing.execute_statement(OWN_SESSION, {})
            if waiting.can_listen:
                await waiting.listen(CHANNEL)

            async def wait() -> None:
                deadline = time.monotonic() + self._bound
                while (left := deadline - time.monotonic()) > 0:
                    await waiting.wait_for_notifications(left)

            under_way = asyncio.create_task(wait()) if waiting.can_listen else None
            await asyncio.sleep(0.1)
            for row in (waiter, executor):
                await killer.execute_statement(_TERMINATE, row)
            await self._check_have_ended({waiter["pid"], executor["pid"]}, killer, "a session that is terminated ends")
            if under_way is not None:
                await check_raises(exceptions.ConnectorException, under_way)
            await check_raises(exceptions.ConnectorException, executing.execute("check_connection"))
            for session in (killer, waiting, executing):
                await session.close()

        self._in_each_colour(check)
