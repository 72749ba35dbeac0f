"""Checks of the contract: opening and closing."""

from __future__ import annotations

import asyncio

from adjourn import exceptions
from adjourn.testing.checks import check_equal, check_raises
from adjourn.testing.faces import Face
from adjourn.testing.suite import OWN_SESSION, Suite, check_closed
from adjourn.types import Row


class OpeningTests(Suite):
    """Opening and closing."""

    def test_opening_and_closing_twice_does_nothing_and_it_can_be_opened_again(self) -> None:
        """Opening what is open and closing what is closed is no error, and every cycle works."""

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

    def test_closing_ends_every_session_on_the_server(self) -> None:
        """That holds for the connections of the pool, and for one that was taken beside it."""
        self._check_executes_sql()

        async def check(face: Face) -> None:
            async with face.opened():
                rows = await asyncio.gather(*(face.execute_statement(OWN_SESSION, {}) for _ in range(8)))
                session = await face.session()
                rows.append(await session.execute_statement(OWN_SESSION, {}))
                await session.close()
            pids = {row["pid"] for (row,) in rows}
            observer = await face.session()
            await self._check_have_ended(pids, observer, "no session is left on the server after closing")

        self._in_each_colour(check)

    def test_a_failed_opening_is_our_error_and_leaves_it_closed(self) -> None:
        """A server that is not there raises `ConnectorException` each time, and the connector stays closed."""

        async def check(face: Face) -> None:
            for _ in range(2):
                await check_raises(exceptions.ConnectorException, face.open())
                await check_closed(face)
            await face.close()

        self._in_each_colour(check, self.make_unreachable_connector)
