"""Checks of the contract: blocking calls, awaited ones, and event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import unittest
import warnings

from adjourn import exceptions
from adjourn.connectors.base import BaseSyncConnector
from adjourn.testing.checks import check_equal, check_raises, check_that, new_job
from adjourn.testing.faces import STATEMENTS, AsyncFace, Face, SyncFace
from adjourn.testing.suite import OWN_SESSION, Suite
from adjourn.testing.threads import in_thread


class ColourTests(Suite):
    """Who serves a call, and on which event loop."""

    def test_a_synchronous_connector_refuses_what_is_awaited(self) -> None:
        """Its errors say what to do instead, whether it is open or not."""
        connector = self.make_connector()
        if not isinstance(connector, BaseSyncConnector):
            raise unittest.SkipTest("it is an asynchronous connector")
        check_that(connector.get_sync_connector() is connector, "it serves synchronous calls itself")

        async def check(face: Face) -> None:
            refused = exceptions.SyncConnectorConfigurationError
            await check_raises(refused, connector.open_async())
            await check_raises(refused, connector.execute_async(STATEMENTS["check_connection"], {}))
            await check_raises(refused, connector.session_async())
            await check_raises(refused, connector.close_async())

        self._run(check, AsyncFace(connector))

    def test_an_asynchronous_connector_that_is_open_serves_synchronous_calls_from_threads(self) -> None:
        """On the thread of the event loop itself, a blocking call is done or refused, and never hangs."""
        connector = self._asynchronous_connector()
        check_that(connector.get_async_connector() is connector, "it serves asynchronous calls itself")

        async def check(face: Face) -> None:
            async with face.opened():
                job = new_job()
                serving = connector.get_sync_connector()
                await asyncio.gather(*(in_thread(serving.execute, STATEMENTS["defer_job"], job) for _ in range(10)))
                with contextlib.suppress(RuntimeError):
                    serving.execute(STATEMENTS["check_connection"], {})
                check_equal(len(await self._stored(face, job["queue"])), 10)

        self._run(check, AsyncFace(connector))

    def test_a_call_that_is_cancelled_leaves_the_connector_usable(self) -> None:
        """Cancelling an awaited call takes no connection away from the others."""
        connector = self._asynchronous_connector()

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

        self._run(check, AsyncFace(connector))

    def test_the_connections_of_an_event_loop_that_has_ended_are_given_back(self) -> None:
        """If a program has not closed the connector before its loop ended, the next opening ends the old sessions."""
        connector = self._asynchronous_connector()
        self._check_executes_sql()
        found: set[int] = set()

        async def abandon(face: Face) -> None:
            await face.open()
            (session,) = await face.execute_statement(OWN_SESSION, {})
            found.add(session["pid"])

        async def check(face: Face) -> None:
            async with face.opened():
                observer = await face.session()
                await self._check_have_ended(found, observer, "the sessions of a loop that has ended end too")

        # Drivers warn of connections that nobody has closed: here that is what is wanted.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self._run(abandon, AsyncFace(connector))
            self._run(check, SyncFace(connector))
            gc.collect()
