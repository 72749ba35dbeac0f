"""Checks of the contract: pools and connections of the user's."""

from __future__ import annotations

import contextlib

from adjourn import exceptions
from adjourn.testing.checks import check_equal, check_raises, new_job
from adjourn.testing.faces import AsyncFace, Face, SyncFace
from adjourn.testing.suite import Suite, check_closed, entered


class GivenTests(Suite):
    """Pools and connections of the user's."""

    def test_a_pool_of_the_users_is_used_and_never_closed(self) -> None:
        """The pool is used until the connector is closed, stays open after that, and can be used again."""

        async def check(face: Face) -> None:
            async with entered(self.make_pool()) as pool:
                for _ in range(2):
                    await face.open(pool)
                    check_equal(await face.execute("check_connection"), [{"exists": True}])
                    session = await face.session()
                    check_equal(await session.execute("check_connection"), [{"exists": True}])
                    await session.close()
                    await face.close()
                    await check_closed(face)

        self._in_its_own_colour(check)

    def test_a_pool_of_another_kind_is_refused(self) -> None:
        """Opening with something that is not a pool of the driver's raises `InvalidOption`, and it stays closed."""

        async def check(face: Face) -> None:
            await check_raises(exceptions.InvalidOption, face.open(object()))
            await check_closed(face)

        self._in_each_colour(check)

    def test_a_connection_of_another_kind_is_refused(self) -> None:
        """A ``connection`` that is not one of the driver's raises `InvalidConnection`."""

        async def check(face: Face) -> None:
            await check_raises(exceptions.InvalidConnection, face.execute("check_connection", connection=object()))

        self._in_each_colour(check)

    def test_a_call_on_a_connection_of_the_users_is_part_of_its_transaction(self) -> None:
        """It is committed or rolled back with it, and not before. The connector need not be open."""

        async def check(face: Face) -> None:
            async with entered(self.make_connection()) as connection:
                check_equal(await face.execute("check_connection", {}, connection), [{"exists": True}])
                async with face.opened():
                    for end, count in [("rollback", 0), ("commit", 1)]:
                        job = new_job()
                        await face.execute("begin", None, connection)
                        await face.execute("defer_job", job, connection)
                        check_equal(len(await self._stored(face, job["queue"], connection)), 1)
                        check_equal(await self._stored(face, job["queue"]), [])
                        await face.execute(end, None, connection)
                        check_equal(len(await self._stored(face, job["queue"])), count)

        self._in_its_own_colour(check)

    def test_a_blocking_call_refuses_a_connection_that_it_cannot_use(self) -> None:
        """A connection for awaited calls raises `InvalidConnection`; one for both is part of its transaction."""
        connector = self._asynchronous_connector()

        async def check(face: Face) -> None:
            async with entered(self.make_connection()) as connection:
                for is_open in (False, True):
                    async with face.opened() if is_open else contextlib.nullcontext():
                        job = new_job()
                        await face.execute("begin", None, connection)
                        with contextlib.suppress(exceptions.InvalidConnection):
                            await SyncFace(connector).execute("defer_job", job, connection)
                        await face.execute("rollback", None, connection)
                    async with face.opened():
                        check_equal(await self._stored(face, job["queue"]), [])

        self._run(check, AsyncFace(connector))
