"""One psycopg connection: a session of its own, and statements on it."""

from __future__ import annotations

import os
import time
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, AsyncRawCursor
from psycopg.rows import dict_row, tuple_row
from psycopg.sql import SQL, Identifier

from adjourn import exceptions
from adjourn._async.connectors.contract import AsyncSession
from adjourn._drivers.psycopg import options as driver
from adjourn._drivers.settings import check_can_listen, greeting, is_pooled
from adjourn._drivers.sockets import hang_up
from adjourn._drivers.watchdog import RESPONSE_TIMEOUT, answered, limited, seconds_for, watchdog
from adjourn._runtime import aio as runtime
from adjourn._runtime.forks import keep_for_ever
from adjourn.types import Parameters, Row, Statement


class AsyncPsycopgSession(AsyncSession):
    """A psycopg connection that belongs to its caller alone."""

    is_wakeable = True

    def __init__(
        self,
        connection: AsyncConnection[Any],
        can_listen: bool = True,
        response_timeout: float | None = RESPONSE_TIMEOUT,
    ) -> None:
        self.connection = connection
        self.can_listen = can_listen
        self.response_timeout = response_timeout
        self._waker = runtime.Waker()
        arrived = self._arrived = list[str]()
        # No reference to the session: in a cycle, only the garbage collector would free it and its connection.
        connection.add_notify_handler(lambda note: arrived.append(note.payload))
        self._process = os.getpid()

    async def execute_async(self, statement: Statement, parameters: Parameters | None = None) -> list[Row]:
        """Execute one statement and return its rows, an empty list where it returns none."""
        return await runtime.guarded(self._execute_async, statement, parameters)

    async def _execute_async(self, statement: Statement, parameters: Parameters | None) -> list[Row]:
        wait = watchdog.begin(seconds_for(self.response_timeout, statement), runtime.this_task())
        wait.on(self.connection)
        try:
            return await translated_run_async(self.connection, statement, parameters)
        except exceptions.ConnectorException as error:
            if wait.is_given_up:
                raise wait.error() from error
            wait.judge(error.sqlstate)
            raise
        finally:
            wait.end()

    async def listen_async(self, channel: str) -> None:
        """Start to receive the notifications of a channel."""
        check_can_listen(self.can_listen)
        text = SQL("LISTEN {}").format(Identifier(channel)).as_string()
        await self.execute_async(Statement("listen", text))

    async def wait_for_notifications_async(self, timeout: float) -> list[str]:
        """Wait until a notification arrives and return the payloads of those that are there.

        Those that arrived while a statement was executed are not lost: they are kept for the next wait.

        Parameters
        ----------
        timeout
            Seconds to wait at most; if nothing arrives, an empty list is returned.
        """
        return await runtime.guarded(self._wait_async, timeout)

    async def _wait_async(self, timeout: float) -> list[str]:
        deadline = time.monotonic() + timeout
        with driver.translating():
            while not (arrived := self._taken()):
                left = deadline - time.monotonic()
                if left <= 0 or not await self._waker.readable(self.connection.fileno(), left):
                    break
            return arrived

    def _taken(self) -> list[str]:
        """Return the payloads of the notifications that have arrived by now, and forget them."""
        arrived = [*self._arrived, *driver.notifications(self.connection)]
        self._arrived.clear()
        return arrived

    def wake(self) -> None:
        """End the wait for notifications that is under way, or else the next one. From any thread, at any time."""
        self._waker.set()

    def abandon(self) -> None:
        """Give the connection up at once, without talking to the server. From any thread, at any time."""
        if self._process == os.getpid():  # a forked child shares the parent's socket
            hang_up(self.connection)

    async def close_async(self) -> None:
        """Close the connection. Closing twice does nothing."""
        if self._process != os.getpid():
            # The parent uses the same socket, and closing would end its session.
            keep_for_ever(self.connection)
            return
        await runtime.uninterrupted(self.connection.close)
        self._waker.close()


async def run_on_async(
    connection: AsyncConnection[Any],
    statement: Statement,
    parameters: Parameters | None,
    *,
    may_prepare: bool = True,
) -> list[Row]:
    """Execute a statement on a connection and return its rows."""
    cursor = own_cursor_async(connection, statement)
    # Text without parameters may hold several commands, which cannot be prepared.
    prepare = None if may_prepare and parameters is not None else False
    # psycopg's types want text that stands in the code; ours comes from files.
    await cursor.execute(statement.text, parameters, prepare=prepare)  # pyright: ignore[reportArgumentType]
    return await rows_async(cursor)


async def greeted_async(connection: AsyncConnection[Any], options: driver.PsycopgOptions, *, lasting: bool) -> bool:
    """Set what adjourn depends on, and return whether the connection goes through a pooler.

    Parameters
    ----------
    lasting
        Whether it is a session.
    """
    process = connection.info.backend_pid
    has_options = bool(connection.info.options)
    text = greeting(process, sets=options.pooler is not True, lasting=lasting, has_options=has_options)
    with limited(connection, options.timeout):
        (facts,) = await run_on_async(connection, Statement("greeting", text), None)
        if not connection.autocommit:
            await connection.commit()
    is_behind = is_pooled(facts, process, options.pooler, driver.place_of(connection))
    if is_behind and not options.chooses_preparing:
        connection.prepare_threshold = None
    return is_behind


async def looked_at_async(connection: AsyncConnection[Any], pooler: bool | None) -> bool:
    """Return whether a connection of the user's own goes through a pooler. Change nothing."""
    process = connection.info.backend_pid
    text = greeting(process, sets=False, lasting=False)
    (facts,) = await run_on_async(connection, Statement("greeting", text), None)
    return is_pooled(facts, process, pooler, driver.place_of(connection))


def own_cursor_async(connection: AsyncConnection[Any], statement: Statement) -> AsyncCursor[Any]:
    """Return a cursor that takes named parameters, even if the user's cursor class does not."""
    rows: Any = tuple_row if statement.takes_tuples else dict_row
    if issubclass(connection.cursor_factory, AsyncRawCursor):
        cursor = AsyncCursor(connection, row_factory=rows)
    else:
        cursor = connection.cursor(row_factory=rows)
    if connection.info.encoding == "ascii":
        driver.reads_texts(cursor.adapters)
    return cursor


async def translated_run_async(
    connection: AsyncConnection[Any], statement: Statement, parameters: Parameters | None
) -> list[Row]:
    """Execute a statement on a connection and return its rows; errors are adjourn's."""
    with driver.translating():
        return await run_on_async(connection, statement, parameters)


async def given_run_async(
    connection: AsyncConnection[Any], statement: Statement, parameters: Parameters | None
) -> list[Row]:
    """Execute a statement on a connection that the caller has passed, and return its rows; errors are adjourn's."""
    with answered(connection, statement, runtime.this_task()):
        return await translated_run_async(connection, statement, parameters)


async def rows_async(cursor: AsyncCursor[Any]) -> list[Row]:
    """Return the rows of a statement that has been executed, an empty list where it returns none."""
    # `description` would say the same, and make an object for each column.
    return await cursor.fetchall() if cursor.rownumber is not None else []
